# SPDX-License-Identifier: Apache-2.0
# Short names for what Meson and the tools do; meson.build describes the build.
#
#   make [CC=clang BUILD=build-clang]   make check   make asan   make fuzz
#   make lint   make format   make demo   make install   make clean
#   make bench   make bench-quick   make bench-run      (bench/README.md)
#   make lockstep   make faults        (an hour each; docs/testing.md)
BUILD ?= build
FUZZ_SECONDS ?= 60
FUZZER_RUNTIME = $(wildcard $(shell clang -print-resource-dir 2>&1)/lib/linux/libclang_rt.fuzzer-*)
SETUP = @tools/configure
SANITIZE = -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dc_args=-DDOPPEL_DEBUG

.PHONY: all check check-unit asan fuzz fuzz-short lint format demo bench bench-quick bench-run \
    lockstep faults install clean

all:
	$(SETUP) $(BUILD)
	@ninja -C $(BUILD) --quiet product manual && ln -sf src/cmd/doppel $(BUILD)/doppel

check: all
	$(SETUP) $(BUILD) -Dtests=enabled
ifneq ($(FUZZER_RUNTIME),)
	@CC=clang tools/configure build-fuzz -Dfuzz=true $(SANITIZE)
	@FUZZ_SECONDS=3 tools/check.py $(BUILD) build-fuzz
else
	@echo "make: no fuzzing: clang's runtime is missing; run tools/setup" >&2
	@tools/check.py $(BUILD)
endif

asan:
	$(SETUP) build-asan -Dtests=enabled $(SANITIZE)
	@tools/check.py build-asan

fuzz-short: FUZZ_SECONDS = 3
fuzz fuzz-short:
	@CC=clang tools/configure build-fuzz -Dfuzz=true $(SANITIZE)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/check.py build-fuzz

lint:
	@tools/lint

format:
	@clang-format -i $$(git ls-files '*.[ch]')

demo:
	@tools/demo

bench: all
	@bench/run.py --doppel $(BUILD)/doppel --work $(BUILD)/bench

bench-quick: all
	@bench/run.py --doppel $(BUILD)/doppel --work $(BUILD)/bench --repetitions 1 --scale 2 \
	    --no-fetch

bench-run: all
	@bench/run.py --doppel $(BUILD)/doppel --work $(BUILD)/bench --groups process

lockstep:
	$(SETUP) $(BUILD) -Dtests=enabled
	@ninja -C $(BUILD) --quiet tests/lockstep/lockstep
	@tests/lockstep/run.py --long --lockstep $(BUILD)/tests/lockstep/lockstep

# Faults in full: crashes, full disks, helpers that die, garbage, thousands of starts.
faults: all
	@status=0; for suite in disks durability hostile lifecycle neighbours net shares vsock; do \
	    echo "# $$suite"; \
	    tests/integration/$${suite}_test.py --long $(BUILD)/doppel || status=1; \
	done; exit $$status

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf build build-*
