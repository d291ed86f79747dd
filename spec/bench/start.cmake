if(SQLITE_FOUND)
  moonwatch_bench(start_bench COMMAND lua5.4 ${CMAKE_CURRENT_SOURCE_DIR}/start_bench.lua)
endif()
