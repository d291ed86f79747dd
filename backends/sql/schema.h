/* The tables and how they came to be what they are: versions as data. */
#ifndef MOONWATCH_SQL_SCHEMA_H
#define MOONWATCH_SQL_SCHEMA_H

#include "driver.h"

/* What this program makes, and brings older tables to. */
#define MW__SQL_SCHEMA_VERSION 2

/* Expanded for a dialect. MW_ENO_MEMORY, or MW_EINTERNAL for a fragment that no dialect has. */
int mw__sql_schema_new(const mw_sql_dialect *dialect, mw_sql_schema **ret_schema, mw_error *err);
void mw__sql_schema_free(mw_sql_schema *schema);

#endif
