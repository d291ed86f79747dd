if(TARGET spec_mysql)
  moonwatch_c_bench(mysql_backend_bench mysql_backend_bench.c ${CMAKE_SOURCE_DIR}/backends/mysql/plugin.c
    LIBS moonwatch_mysql spec_mysql)
endif()
