if(SQLITE_FOUND)
  moonwatch_bench(cli_bench COMMAND lua5.4 ${CMAKE_CURRENT_SOURCE_DIR}/cli_bench.lua)
endif()
