moonwatch_c_bench(host_bench host_bench.c)
