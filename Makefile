# The front door. `make demo` and `make test` need nothing but a fresh Debian 12/13 or Ubuntu
# 22.04/24.04 with its packages reachable; CMakePresets.json is for those who like to steer.

SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= release
# ON: the least work for trees that are built once from nothing, without ccache.
ONCE ?= OFF
BUILD := $(if $(filter release,$(PRESET)),build,build/$(PRESET))
FUZZ_SECONDS ?= 60
MODEL ?=
# Real texts and models for tests and tables, when there are any.
AWQ_DATA ?= $(wildcard $(CURDIR)/../shared/data)
export AWQ_DATA

.PHONY: build configure deps test test-release test-sanitized test-neon test-gpu demo bench fuzz format clean

# The program alone: build/bin/awq.
build: configure
	@cmake --build --preset $(PRESET) -j $(JOBS) --target awq

configure: deps
	@cmake --preset $(PRESET) -DAWQ_ONCE=$(ONCE) > build-$(PRESET).log 2>&1 || { cat build-$(PRESET).log; exit 1; }
	@rm -f build-$(PRESET).log

deps:
	@tools/install_deps.sh

# Everything that proves it: all tests in release, then unit and op tests and every fuzz corpus under
# AddressSanitizer and UndefinedBehaviorSanitizer, then the kernels of 64-bit ARM in an emulator.
test: test-release test-sanitized test-neon

test-release: configure
	@cmake --build --preset $(PRESET) -j $(JOBS)
	@export AWQ_SMOLLM2="$${AWQ_SMOLLM2-$$(tools/fetch_smollm2.sh 2>/dev/null || true)}"; \
	  ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

test-sanitized: deps
	@cmake --preset asan-ubsan -DAWQ_ONCE=$(ONCE) > /dev/null
	@cmake --build --preset asan-ubsan -j $(JOBS)
	@ctest --test-dir build/asan-ubsan --output-on-failure -j $(JOBS) -L '^(unit|op|property)$$'

test-neon: deps
	@tools/test_neon.sh build/neon $(JOBS)

# The ops of the CUDA backend on the first GPU; again under compute-sanitizer when
# AWQ_SANITIZER_TOOL names one of its tools (memcheck, racecheck, initcheck, synccheck).
test-gpu: configure
	@cmake --build --preset $(PRESET) -j $(JOBS) --target cuda_op_test cuda_pack_op_test cuda_decode_op_test cuda_rounding_op_test
	@ctest --test-dir $(BUILD) --output-on-failure -L op -R Cuda
	@if [ -n "$(AWQ_SANITIZER_TOOL)" ]; then \
	  compute-sanitizer --tool $(AWQ_SANITIZER_TOOL) --error-exitcode 1 \
	    $(BUILD)/tests/cuda_op_test $(AWQ_SANITIZER_TESTS); fi

demo: build
	@AWQ=$(BUILD)/bin/awq tools/demo.sh

# Speed of a model (make bench MODEL=dir) and of the kernels alone.
bench: deps
	@cmake --preset bench > /dev/null
	@cmake --build --preset bench -j $(JOBS) --target awq kernels_bench
	@if [ -n "$(MODEL)" ]; then build/bench/bin/awq bench $(MODEL); fi
	@build/bench/bin/kernels_bench

fuzz: deps
	@tools/fuzz.sh $(FUZZ_SECONDS)

format:
	@git ls-files '*.cc' '*.h' '*.cu' '*.cuh' | xargs clang-format -i

clean:
	@rm -rf build demo
