# The executable, and libmoonwatch for programs that embed the engine.
add_library(moonwatch_setup OBJECT lua_setup.c)
target_include_directories(moonwatch_setup PUBLIC include)
target_compile_definitions(moonwatch_setup PRIVATE _GNU_SOURCE MOONWATCH_SCRIPTS="${CMAKE_SOURCE_DIR}/scripts")
target_link_libraries(moonwatch_setup PUBLIC moonwatch_lua moonwatch_lua_yaml moonwatch_lua_system PkgConfig::LUA)

add_executable(moonwatch main.c stuck.c)
target_link_libraries(moonwatch PRIVATE
  moonwatch_setup moonwatch_lua_yaml moonwatch_lua_system moonwatch_lua moonwatch_core PkgConfig::LUA)

add_library(moonwatch_shared SHARED engine.c value.c)
set_target_properties(moonwatch_shared PROPERTIES
  OUTPUT_NAME moonwatch VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_include_directories(moonwatch_shared PUBLIC
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/core/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# All of the core, for programs that use moonwatch/registry.h; liblua stays visible for lpeg and cjson.
target_link_libraries(moonwatch_shared PRIVATE
  moonwatch_setup moonwatch_lua_yaml moonwatch_lua_system moonwatch_lua
  -Wl,--whole-archive $<TARGET_FILE:moonwatch_core> -Wl,--no-whole-archive
  moonwatch_core PkgConfig::LUA)
