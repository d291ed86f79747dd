# What the executable has beyond libmoonwatch: line editing, child processes, sockets.
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
target_sources(moonwatch PRIVATE lua_edit.c edit_screen.c edit_keys.c edit_history.c lua_child.c job.c descendants.c
  lua_socket.c)
target_compile_definitions(moonwatch PRIVATE _GNU_SOURCE)
target_link_libraries(moonwatch PRIVATE PkgConfig::EDIT)
