# A thin front over CMake. `make demo` and `make test` install what is missing (Debian packages), build and run.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: all setup setup-test setup-tls build demo test bench sanitize fuzz zookeeper-tls lint format install clean
all: build

# What building and running needs; the rest is for the suite and the benchmarks.
setup:
	@./.ci/setup build
setup-test:
	@./.ci/setup test
setup-tls:
	@./.ci/setup tls

build: setup
	@cmake -S . -B $(BUILD) -G Ninja >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

# Three processes on one SQLite registry; the leader is killed, its jobs are moved, the registry is the judge.
demo: build
	@. $(BUILD)/env.sh && lua5.4 scripts/demo/demo.lua $(BUILD)/bin/moonwatch

test: setup-test build
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure

# The same suite under AddressSanitizer (with its leak check) and UndefinedBehaviorSanitizer.
sanitize: setup-test
	@cmake -S . -B $(BUILD)-asan -G Ninja -DMOONWATCH_SANITIZE=ON >/dev/null
	@cmake --build $(BUILD)-asan -j $(JOBS)
	@ctest --test-dir $(BUILD)-asan -j $(JOBS) --output-on-failure

fuzz: setup-test
	@CC=clang cmake -S . -B $(BUILD)-fuzz -G Ninja -DMOONWATCH_FUZZ=ON >/dev/null
	@cmake --build $(BUILD)-fuzz -j $(JOBS) --target fuzzers
	@ctest --test-dir $(BUILD)-fuzz -L fuzz -j $(JOBS) --output-on-failure

# ZooKeeper over TLS, which Debian's client library lacks: the client from Debian's source, a build against it beside
# the usual one, and all ZooKeeper specs there, with TLS and without.
ZOOKEEPER_CLIENT = $(abspath $(BUILD)-zookeeper-tls/client)
zookeeper-tls: setup-tls
	@spec/support/zookeeper_client.sh $(ZOOKEEPER_CLIENT)
	@cmake -S . -B $(BUILD)-zookeeper-tls -G Ninja -DZOOKEEPER_ST=$(ZOOKEEPER_CLIENT)/libzookeeper_st.so \
	  -DZOOKEEPER_INCLUDE=$(ZOOKEEPER_CLIENT)/include >/dev/null
	@cmake --build $(BUILD)-zookeeper-tls -j $(JOBS)
	@ctest --test-dir $(BUILD)-zookeeper-tls -L zookeeper -j $(JOBS) --output-on-failure

bench: setup-test build
	@cmake --build $(BUILD) --target bench

lint: setup-test build
	@./.ci/lint $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# PREFIX (default /usr/local) and DESTDIR say where to.
install: build
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	rm -rf build build-*
