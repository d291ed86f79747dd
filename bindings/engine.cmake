# The executable, and libmoonwatch for programs that embed the engine.
add_library(moonwatch_setup OBJECT lua_setup.c)
target_include_directories(moonwatch_setup PUBLIC include)
target_compile_definitions(moonwatch_setup PRIVATE _GNU_SOURCE MOONWATCH_SCRIPTS="${CMAKE_SOURCE_DIR}/scripts")
target_link_libraries(moonwatch_setup PUBLIC moonwatch_lua moonwatch_lua_yaml moonwatch_lua_system PkgConfig::LUA)

add_executable(moonwatch main.c)
target_link_libraries(moonwatch PRIVATE
  moonwatch_setup moonwatch_lua_yaml moonwatch_lua_system moonwatch_lua moonwatch_core PkgConfig::LUA)
