# `make` lists what there is. Everything here works as an ordinary user; what needs an administrator
# is named with the exact command (and done, saying so, when run by root).
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
CACHE := $(if $(AETHER_CACHE_DIR),$(AETHER_CACHE_DIR),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/aether)
RESULTS := build/test-results
PYTEST := $(BIN)/python -m pytest
SUITE := coldstart
PORT ?= 8080

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.made: requirements/dev.txt requirements/uv.txt pyproject.toml tools/make-venv.sh
	@tools/make-venv.sh
	@touch $@

.PHONY: venv
venv: $(VENV)/.made ## Make .venv with everything that is locked, and Aether itself

.PHONY: setup
setup: venv ## Make kernel, initramfs and runtimes in the user's cache; the second run does nothing
	@$(BIN)/python -m aether.images

.PHONY: demo
demo: setup ## Deploy examples/hello-node to a microVM and call it, cold and warm
	@$(BIN)/aether demo

.PHONY: cluster
cluster: setup test-programs ## Several hosts on this machine, over real stores, until Ctrl-C (as root): PORT=8080
	@$(BIN)/python -m tests.cluster --port $(PORT)

.PHONY: lint
lint: venv ## Style, formatting and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

.PHONY: types
types: venv ## mypy, strict
	$(BIN)/mypy

.PHONY: test-programs
test-programs: ## Install nginx, etcd, Redis and others for the tests that use them (as root), or tell how
	@tools/test-programs.sh

.PHONY: test
test: lint types setup test-programs ## Everything that must pass, in some minutes: lint, types, tests, coverage
	@mkdir -p $(RESULTS)
	$(PYTEST) -n 2 --dist loadfile -m "not slow and not cluster" --cov --cov-report=term:skip-covered --cov-fail-under=85 \
		--junitxml=$(RESULTS)/test.xml

.PHONY: test-unit
test-unit: venv test-programs ## The tests that boot no microVM
	$(PYTEST) -n 2 --dist loadfile -m "not slow and not vm and not cluster"

.PHONY: test-vm
test-vm: setup ## The tests that boot microVMs
	$(PYTEST) -m "vm and not slow and not cluster"

.PHONY: test-cluster
test-cluster: setup test-programs ## The tests of several hosts on one machine, as root
	@mkdir -p $(RESULTS)
	$(PYTEST) tests/cluster -m cluster --junitxml=$(RESULTS)/cluster.xml

.PHONY: test-slow
test-slow: setup test-programs ## The slower suites
	@mkdir -p $(RESULTS)
	@status=0; $(PYTEST) --collect-only --quiet -m slow >build/slow-collected.txt || status=$$?; \
	case $$status in \
	0) $(PYTEST) -m slow --junitxml=$(RESULTS)/slow.xml ;; \
	5) echo "there are no slow tests" ;; \
	*) cat build/slow-collected.txt; exit $$status ;; \
	esac

.PHONY: test-faults
test-faults: setup ## Break things under load, count what became of each request: SCENARIOS="hang burst-at-cold"
	$(BIN)/python -m tests.faults --out build/faults.json $(SCENARIOS)

.PHONY: bench
bench: setup ## Run a benchmark suite: make bench SUITE=coldstart
	$(BIN)/python -m benchmarks $(SUITE)

.PHONY: clean
clean: ## Remove what was made in this checkout
	rm -rf $(VENV) build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.PHONY: clean-cache
clean-cache: ## Remove kernel, initramfs, runtimes and build tools from the user's cache
	rm -rf "$(CACHE)/images" "$(CACHE)/downloads" "$(CACHE)/tools" "$(CACHE)/apt" "$(CACHE)/probe.json"
