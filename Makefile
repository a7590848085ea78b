# Every target does the set-up it needs: a virtual environment, the locked dependencies, the package itself.
# PYTHON chooses the interpreter, for example: make test PYTHON=python3.12

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BACKEND := .venv-backend
READY := $(VENV)/.ready
SOURCES := perfguard integrations examples tests tools
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --quiet --output-file requirements.lock

.DEFAULT_GOAL := help
.PHONY: help demo test peers slow backend lint format bench sim lock clean

help: ## Show the targets
	@sed -n 's/^\([.a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

demo: $(READY) ## A FastAPI service at up to 8x its capacity, without and with the guard
	@$(BIN)/perfguard demo

test: $(READY) ## Tests, with branch coverage of perfguard/
	@$(BIN)/python -m pytest --cov

peers: ## Debian's nginx and prometheus in .peers, for the slow tests that run them; they skip what is missing
	@$(PYTHON) tools/peers.py .peers

backend: $(READY) $(BACKEND)/.ready ## Traces in a real backend, Arize Phoenix, in an environment of its own
	@$(BIN)/python -m pytest -m backend

slow: $(READY) ## The tests marked slow: a million requests, thread races; `make peers` adds real nginx and prometheus
	@$(BIN)/python -m pytest -m slow

lint: $(READY) ## ruff, mypy --strict and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(READY) ## Benchmarks on real servers; writes docs/benchmarks.md
	@$(BIN)/python tests/benchmarks/run.py

sim: $(READY) ## Simulations; rewrites the committed report
	@$(BIN)/python tests/simulations/report.py

lock: $(READY) ## Lock again within the ranges of pyproject.toml; `make lock UPGRADE=--upgrade` for the latest
	@$(UV_COMPILE) $(UPGRADE)

$(VENV): $(READY)

$(READY): pyproject.toml requirements.lock tools/bootstrap.py
	@echo "Setting up $(VENV) with $(PYTHON) (once; takes about a minute) ..."
	@test -n "$(PYTHON)" || { echo "No python3.11 or python3 on PATH; install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) tools/bootstrap.py $(VENV) requirements.lock
	@touch $@

$(BACKEND)/.ready: $(READY)
	@echo "Setting up $(BACKEND) (once; takes some minutes and 600 MB) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BACKEND)
	@$(BIN)/uv pip install --quiet --python $(BACKEND)/bin/python 'arize-phoenix>=20,<21'
	@touch $@

clean: ## Remove the virtual environment and everything generated
	rm -rf $(VENV) .peers $(BACKEND) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find perfguard integrations tests examples -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
