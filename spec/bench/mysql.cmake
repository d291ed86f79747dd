if(TARGET spec_mysql)
  moonwatch_c_bench(mysql_backend_bench mysql_backend_bench.c ${CMAKE_SOURCE_DIR}/backends/mysql/plugin.c
    LIBS moonwatch_mysql spec_mysql)
  target_compile_definitions(mysql_backend_bench PRIVATE SPEC_TCP_PROXY="$<TARGET_FILE:tcp_proxy>")
  add_dependencies(mysql_backend_bench tcp_proxy)
endif()
