/* Ctrl-C while a plain script waits. lua5.4, and programs like it, answer SIGINT by setting a hook, which raises as
 * soon as Lua code runs; the loop would sleep on until then. So we look for a new hook before we sleep, and let a
 * signal end the sleep. No handler of our own: the application's signals are its own. */
#ifndef MOONWATCH_BINDINGS_INTERRUPT_H
#define MOONWATCH_BINDINGS_INTERRUPT_H

#include "internal.h"

/* Sleep until the host has something to do, or a signal comes. False: since `before`, a hook was set on `main`. */
bool mw__lua_sleep(mw_host *host, lua_State *main, lua_Hook before);

/* Run that hook now, in the place of the wait; it raises. (longjmp) */
int mw__lua_interrupt(lua_State *L, lua_State *main);

#endif
