PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-slow check bench

demo: $(STAMP)
	$(BIN)/python -m cli.demo

test: $(STAMP)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Needs the example trained in .rung, which `make demo` does.
bench: $(STAMP)
	$(BIN)/rung bench decide
	$(BIN)/rung bench lab
	$(BIN)/rung bench embed --passages 2000

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/rung check examples/payments_support
	$(BIN)/rung check examples/small_loans
	$(BIN)/rung check cli/template
	$(BIN)/rung parity examples/small_loans --requests 1000

# torch stands outside the lock, so that its user can choose a build for their hardware.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rung needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar off torch==2.13.0
	$(BIN)/python -m pip install --progress-bar off --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $(STAMP)
