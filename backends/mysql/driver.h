/* The driver of MySQL and MariaDB for the shared SQL layer (backends/sql/driver.h), and what is around it. */
#ifndef MOONWATCH_BACKENDS_MYSQL_DRIVER_H
#define MOONWATCH_BACKENDS_MYSQL_DRIVER_H

#include "sql/driver.h"

extern const mw_sql_driver mw_mysql_driver;

#endif
