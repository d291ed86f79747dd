/* The driver of MySQL and MariaDB for the shared SQL layer (backends/sql/driver.h), and what is around it. */
#ifndef MOONWATCH_BACKENDS_MYSQL_DRIVER_H
#define MOONWATCH_BACKENDS_MYSQL_DRIVER_H

#include "sql/driver.h"

/* Before the schema's version, in the comment of table mw_meta: all of the tables are there. */
#define MW_MYSQL_SCHEMA_MARK "moonwatch schema "

extern const mw_sql_driver mw_mysql_driver;

#endif
