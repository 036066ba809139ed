# `make demo` and `make test` need nothing but Python >= 3.11 and make; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test lint bench weight docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    watch laterctl add features to a project and take them back"
	@echo "make test    run the whole suite: style, types, layers, tests"
	@echo "make lint    style, types and layers alone"
	@echo "make bench   measure what commands cost, and what the middleware of features costs a request"
	@echo "make weight  count what each feature writes into a project, beside its budget"
	@echo "make docs    build the documentation into site/"
	@echo "make clean   remove $(VENV) and site/"
	@echo "PYTHON=...   another interpreter than python3 to make $(VENV) with"

demo: $(VENV)/.apps
	@$(BIN)/python scripts/demo.py

# The closing line of pytest is the last thing to be printed, and its exit code is that of make. Programs that tests start
# read laterctl's bytecode, also where the environment keeps Python from writing it.
test: lint
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python -m pytest -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@$(BIN)/python benchmarks/gates.py
	@$(BIN)/python -m benchmarks.middleware

weight: $(VENV)/.dev
	@$(BIN)/python -m tests.weight

docs: $(VENV)/.dev
	@$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site

# What is installed, and from which list: a change of pyproject.toml installs anew.
$(VENV)/.dev: $(VENV)/.apps pyproject.toml
	$(PIP) install --quiet --group dev
	@touch $@

$(VENV)/.apps: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable . --group apps
	@touch $@

# `--group` needs pip 25.1. A half-made environment is removed, so that the next try starts afresh.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "laterctl needs Python 3.11 or newer, and $(PYTHON) is none: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@$(PIP) install --quiet --upgrade 'pip>=25.1' || { rm -rf $(VENV); exit 1; }
