/* A shared object that is no backend. */
extern int mw_plugin_of_another_kind;
int mw_plugin_of_another_kind;
