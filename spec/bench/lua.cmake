moonwatch_bench(lua_bench COMMAND lua5.4 ${CMAKE_CURRENT_SOURCE_DIR}/lua_bench.lua)
