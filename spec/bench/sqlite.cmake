if(TARGET sqlite_bench)
  moonwatch_c_bench(sqlite_backend_bench sqlite_backend_bench.c sqlite_bench_floor.c LIBS sqlite_bench)
  target_compile_definitions(sqlite_backend_bench PRIVATE _GNU_SOURCE)
endif()
