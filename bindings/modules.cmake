# moonwatch_lua_module(NAME sources... [LIBS ...]): `require "moonwatch.NAME"`, as build/lua/moonwatch/NAME.so for a stock
# lua5.4, and as objects for libmoonwatch. No module links liblua: Debian's lua5.4 has its own copy inside.
function(moonwatch_lua_module name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  add_library(moonwatch_lua_${name} OBJECT ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(moonwatch_lua_${name} PUBLIC ${LUA_INCLUDE_DIRS} ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(moonwatch_lua_${name} PUBLIC ${arg_LIBS})
  add_library(moonwatch_lua_${name}_so MODULE $<TARGET_OBJECTS:moonwatch_lua_${name}>)
  set_target_properties(moonwatch_lua_${name}_so PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${MOONWATCH_LUA_OUTPUT})
  target_link_libraries(moonwatch_lua_${name}_so PRIVATE ${arg_LIBS})
endfunction()

moonwatch_lua_module(yaml lua_yaml.c LIBS PkgConfig::YAML m)
moonwatch_lua_module(system lua_system.c LIBS PkgConfig::UV)
