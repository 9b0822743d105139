# Everything here needs Python 3.11 or newer and nothing else: the targets make their own .venv.
# What is installed is exactly what requirements/*.txt name, hash by hash.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# One job per core, but not more than four: each one has a PostgreSQL database of its own.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ "$$n" -gt 4 ] && n=4; echo "$$n")
ARGS ?=
# Shows how far a step is, so that nobody stares at a terminal that says nothing.
SHOW := $(BIN)/python requirements/progress.py
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install
LOCKED := $(PIP) --progress-bar off --require-hashes --no-deps -r

# The first Python on the machine that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench

.PHONY: help install demo first-run test lint format sweep bench migrate serve work openapi lock clean

help: ## Say what can be made here
	@echo "Zhangban · 掌办"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  ARGS=… is handed on:  make test ARGS='-k progress'   make demo ARGS=--keep"

install: $(DEV) ## Make .venv with the product and the developers' tools

demo: first-run $(RUNTIME) ## Run the main job from end to end on this machine and show it
	@$(BIN)/zhangban demo $(ARGS)

first-run:
	@[ -e $(RUNTIME) ] || echo "· 首次运行：先在 $(VENV) 里安装依赖（约 170 MB，一两分钟），随后开始演示。" >&2

test: $(DEV) ## Run all tests on a real PostgreSQL and a real Valkey
	$(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

lint: $(DEV) ## Check style, types and which way the imports run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run 'make format'."; exit 1; }
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Write the code as the style wants it
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

sweep: $(DEV) ## Die at every SQL statement of charge, callback and refund, and judge the books
	$(BIN)/python -m tests.sweep $(ARGS)

bench: $(BENCH) ## Measure against the bare limit and the usual stack
	$(BIN)/python -m benchmarks $(ARGS)

migrate: $(RUNTIME) ## Bring the database to the newest form
	@$(BIN)/zhangban migrate $(ARGS)

serve: $(RUNTIME) ## Answer HTTP requests
	@$(BIN)/zhangban serve $(ARGS)

work: $(RUNTIME) ## Do the jobs: messages, deadlines, clocks
	@$(BIN)/zhangban work $(ARGS)

openapi: $(RUNTIME) ## Print the API description
	@$(BIN)/zhangban openapi $(ARGS)

# A universal resolution: the lines carry markers, so one file serves Python 3.11 to 3.14 on Linux and macOS.
LOCK := -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock: ## Renew the lock files after a change of pyproject.toml
	@"$(PYTHON)" -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet uv
	$(VENV)-lock/bin/python $(LOCK) pyproject.toml requirements/build.in -o requirements/lock.txt
	$(VENV)-lock/bin/python $(LOCK) --group dev -c requirements/lock.txt -o requirements/dev.txt
	$(VENV)-lock/bin/python $(LOCK) --group bench -c requirements/lock.txt -c requirements/dev.txt -o requirements/bench.txt
	@rm -rf $(VENV)-lock

clean: ## Remove what was made here; the data of the embedded servers stays
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Zhangban needs Python 3.11 or newer; none was found. PYTHON=/path/to/python names one." >&2; exit 1; }
	@"$(PYTHON)" requirements/progress.py "making $(VENV) with $$("$(PYTHON)" --version)" "$(PYTHON)" -m venv $(VENV) || { \
		rm -rf $(VENV); echo "Python's venv module is missing (on Debian: apt install python3-venv)." >&2; exit 1; }

$(RUNTIME): requirements/lock.txt pyproject.toml | $(BIN)/python
	@$(SHOW) "installing what the product needs (about 170 MB the first time, a minute or two)" $(LOCKED) requirements/lock.txt
	@$(SHOW) "installing zhangban itself" $(PIP) --no-deps --no-build-isolation --no-index --config-settings editable_mode=compat -e .
	@$(SHOW) "compiling, so that every process starts at once" $(BIN)/python -m compileall -q api backend models notifications
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@$(SHOW) "installing the developers' tools" $(LOCKED) requirements/dev.txt
	@touch $@

$(BENCH): requirements/bench.txt $(DEV)
	@$(SHOW) "installing what the benchmarks compare with" $(LOCKED) requirements/bench.txt
	@touch $@
