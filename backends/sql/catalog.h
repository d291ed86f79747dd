/* The catalogue before a dialect is filled in. */
#ifndef MOONWATCH_SQL_CATALOG_H
#define MOONWATCH_SQL_CATALOG_H

#include "statements.h"

typedef struct mw__sql_template {
    const char *text;
    const char *columns; /* of the row source, separated by blanks; "" = none */
} mw__sql_template;

extern const mw__sql_template mw__sql_templates[MW__SQL_STATEMENT_COUNT];

#endif
