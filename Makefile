# make install what the program needs, with report, browsing and notebooks, into .venv; without what tests need
# make demo    a small synthetic library, scanned, with a summary and what to look at next
# make test    style, types and tests
# make soak    the tests that take long: kills at random, every fault again and again
# make fuzz    hostile files through the real extraction: make fuzz SEED=2 CASES=1000000; one again: make fuzz SEED=2 ONLY=17
# make bench   the figures of benchmarks/, as ratios within one run
# make docs    the documentation with every notebook, for a browser: build/docs/index.html
# All set up their own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test soak fuzz bench docs format clean

install: .venv/ready
	@echo "next: $(BIN)/takeout-index scan INPUT... -o results/mine"

demo: .venv/ready
	$(BIN)/takeout-index demo

test: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

soak: .venv/ready-dev
	$(BIN)/pytest -m soak -n auto --dist worksteal

SEED ?= 1
CASES ?= 100000

fuzz: .venv/ready-dev
	$(BIN)/python -m tests.fuzz --seed $(SEED) --cases $(CASES) $(if $(ONLY),--only $(ONLY))

bench: .venv/ready-dev
	$(BIN)/python -m benchmarks

docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: .venv/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c conf/constraints.txt -e

.venv/ready: pyproject.toml conf/constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[bench,browse,notebook]'
	$(BIN)/python -m compileall -q pipeline  # as pip does where it copies a package
	touch $@

.venv/ready-dev: .venv/ready
	$(INSTALL) '.[dev]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
