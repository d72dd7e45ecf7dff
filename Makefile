# Thin: cmake builds, scripts under tests/ run. `make help` lists the targets.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: all packages test-packages demo-packages demo demo-shop test crash mutants bench bench-connectors lint fuzz docs format install clean help

all: $(BUILD)/build.ninja ## build build/tidemill
	@cmake --build $(BUILD) --parallel $(JOBS) --target tidemill

$(BUILD)/build.ninja: CMakeLists.txt tests/CMakeLists.txt
	@tests/support/packages.sh check build
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release > $(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

packages: ## install the packages that building needs (apt, as root or through sudo)
	@tests/support/packages.sh install build

test-packages: ## install the packages that the tests need too
	@tests/support/packages.sh install build test

demo: packages all ## all departures from New York in 2013 through examples/flights; RESET=1 starts over
	@examples/flights/demo.sh $(BUILD)/tidemill $(if $(RESET),--reset)

demo-shop: demo-packages all ## changes of a shop's tables in PostgreSQL through examples/shop-cdc, into a report
	@examples/shop-cdc/demo.sh $(BUILD)/tidemill

demo-packages:
	@tests/support/packages.sh install build postgres

test: test-packages ## every test; SUITES="unit cli" runs some
	@BUILD=$(BUILD) JOBS=$(JOBS) tests/run.sh $(SUITES)

crash: test-packages ## the crash campaigns, long: RUNS=100000 KILLS=3000 CONNECTOR_KILLS=1000 FAULTS=1000 SEED=1; PARTS="simulation protocol embedded connectors kafka zombies"
	@cmake -S . -B $(BUILD)-crash -G Ninja -DCMAKE_BUILD_TYPE=Release -DTIDEMILL_FAILPOINTS=ON > /dev/null
	@cmake --build $(BUILD)-crash --parallel $(JOBS) --target tidemill crash_simulation protocol_simulation
	@RUNS=$(or $(RUNS),100000) KILLS=$(or $(KILLS),3000) FAULTS=$(or $(FAULTS),1000) SEED=$(SEED) ONLY=$(ONLY) \
	    CONNECTOR_KILLS=$(or $(CONNECTOR_KILLS),1000) BIG=$(or $(BIG),300000) \
	    VENV=$(BUILD) JOBS=$(JOBS) tests/crash/run.sh $(BUILD)-crash $(PARTS)

mutants: test-packages ## built-in bugs, each of which the tests must catch
	@JOBS=$(JOBS) tests/crash/mutants.py $(MUTANTS)

bench: test-packages ## what things cost, each beside a bare reference loop of the same run
	@BUILD=$(BUILD) JOBS=$(JOBS) tests/bench/run.sh

bench-connectors: test-packages all ## what connectors cost, on real servers, with their floors; PARTS="sqlite pipelines" runs some
	@cmake --build $(BUILD) --parallel $(JOBS) > /dev/null
	@tests/bench/connectors.sh $(BUILD)/tidemill $(PARTS)

lint: ## arrows between folders, homes of libraries, sizes, format, stale reference pages
	@tests/lint/run.sh $(BUILD)/tidemill

fuzz: test-packages ## the fuzzers, FUZZ_SECONDS each (default 600)
	@JOBS=$(JOBS) tests/fuzz/run.sh $(or $(FUZZ_SECONDS),600)

docs: all ## write docs/reference anew from the tables, and the pictures of the examples
	@$(BUILD)/tidemill docs --output docs/reference
	@tests/examples/pictures.sh $(BUILD)/tidemill --write

format: ## clang-format over all C sources
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all ## install the program and the shell completion (PREFIX=/usr/local)
	@install -D -m 755 $(BUILD)/tidemill $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/tidemill
	@$(BUILD)/tidemill completion bash > $(BUILD)/tidemill.bash
	@install -D -m 644 $(BUILD)/tidemill.bash $(DESTDIR)$(or $(PREFIX),/usr/local)/share/bash-completion/completions/tidemill

clean: ## remove what was built
	@rm -rf $(BUILD) build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20
