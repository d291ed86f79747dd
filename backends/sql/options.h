#ifndef MOONWATCH_SQL_OPTIONS_H
#define MOONWATCH_SQL_OPTIONS_H

#include "driver.h"

/* Every key is one of the backend's, and every required one is there. MW_EINVALID names the key. */
int mw__sql_options_check(const mw_backend *backend, const mw_option *options, mw_error *err);

#endif
