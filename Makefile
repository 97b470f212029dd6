# Each target sets up what it needs in .venv when it first runs; nothing else is touched.

# The first Python of a version the package supports; `make PYTHON=/path/to/python` picks another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

# Without a GPU torch's CPU build is enough; on Linux plain pip takes the one for CUDA, ten times as
# large. An index of pip's own settings (a mirror, a folder of wheels) is left alone.
PIP = $(BIN)/python -m pip --disable-pip-version-check
CPU_INDEX := https://download.pytorch.org/whl/cpu

# Tests are small: more threads make them slower. Files of tests run side by side instead.
export OMP_NUM_THREADS ?= 1
JOBS ?= 2
SIDE_BY_SIDE := --numprocesses=$(JOBS) --dist=loadfile

.DEFAULT_GOAL := help
# Two installations into one environment would break each other.
.NOTPARALLEL:
.PHONY: help setup demo check test test-all fuzz docs bench

help:
	@echo "make demo      draw films, adapt a network to them, evaluate, write demo/index.html"
	@echo "make test      the tests that need nothing but a processor and minutes"
	@echo "make test-all  all tests: also slow ones, several processes, compiled code"
	@echo "make fuzz      changed files of every kind in front of every verb, some ten minutes"
	@echo "make check     format, lint, types, import order"
	@echo "make docs      run the examples in docstrings and README; build the site into site/"
	@echo "make bench     speed and memory of a training step and how they grow, speed of the loader"
	@echo "make setup     fill $(VENV) with what all of these need"

setup: $(VENV)/.dev

# One stamp for each extra of pyproject.toml; `dev` has all the others. It is written last: an
# installation that broke off is started again.
$(VENV)/.%: pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one," \
		"or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@index=; test "$$(uname -s)" != Linux || command -v nvidia-smi >/dev/null \
		|| $(PIP) config list | grep -E '(index|index-url|find-links)=' >/dev/null \
		|| index="--extra-index-url $(CPU_INDEX)"; set -x; \
	$(PIP) install --quiet $$index --editable '.[$*]'
	@touch $@ $(if $(filter dev,$*),$(addprefix $(VENV)/.,motion test lint docs))

demo: $(VENV)/.motion
	$(BIN)/ssmde demo

check: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: $(VENV)/.test
	$(BIN)/pytest $(SIDE_BY_SIDE)

# Tests of compiled code run in a call of their own, without the shape checks of jaxtyping, which
# torch.compile cannot see through. Exit code 5 of pytest: there is no such test.
test-all: $(VENV)/.dev
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not compile"
	$(BIN)/pytest -o addopts="--strict-markers --import-mode=importlib" -m compile tests \
		|| test $$? -eq 5

fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz/run.py --seeds 1 2 3

docs: $(VENV)/.docs
	$(BIN)/pytest src tests/test_docs.py
	$(BIN)/mkdocs build --strict --quiet
	@echo "site: site/index.html"

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/reading_data.py
	$(BIN)/python benchmarks/reading_data.py --index 10000 100000 1000000
