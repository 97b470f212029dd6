# Each target sets up what it needs in .venv when it first runs; nothing else is touched.

# The first Python of a version the package supports; `make PYTHON=/path/to/python` picks another.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

# Without a GPU torch's CPU build is enough; on Linux an installer by itself takes the one for CUDA, ten
# times as large. An index of pip's own settings (a mirror, a folder of wheels) is left alone.
PIP = $(BIN)/python -m pip --disable-pip-version-check
CPU_INDEX := https://download.pytorch.org/whl/cpu

# Compiling all that is installed takes as long as installing it; what is used is compiled when it is.
# The pip that comes with Python 3.11 takes twice as long as that of today.
#
# uv installs where it is at hand. It does not read the settings of pip, so they are handed to it; what
# the environment says comes last and wins, as with pip. For no-index it has no variable: pip installs.
PIP_TO_UV := s/^[^=]*[.]index-url=/export UV_DEFAULT_INDEX=/p; \
	s/^[^=]*[.]extra-index-url=/export UV_INDEX=/p; s/^[^=]*[.]constraint=/export UV_CONSTRAINT=/p; \
	s/^[^=]*[.]cert=/export SSL_CERT_FILE=/p; \
	/^[^=]*[.]find-links=/{s/ +/,/g; s/^[^=]*=/export UV_FIND_LINKS=/p;}

# Tests are small: more threads make them slower. Files of tests run side by side instead.
export OMP_NUM_THREADS ?= 1
# Kept, the bytecode of a library is made once, not in every process that a test starts.
unexport PYTHONDONTWRITEBYTECODE
JOBS ?= 2
SIDE_BY_SIDE := --numprocesses=$(JOBS) --dist=loadfile

.DEFAULT_GOAL := help
# Two installations into one environment would break each other.
.NOTPARALLEL:
.PHONY: help setup demo check test test-all fuzz docs bench

help:
	@echo "make demo      draw films, adapt a network to them, evaluate, write demo/index.html"
	@echo "make test      the tests that need nothing but a processor and minutes"
	@echo "make test-all  the tests that make test leaves out: slow ones, several processes, Chromium, compiled code"
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
	@settings=$$($(PIP) config list | sort -r | sed 's/\\n/ /g'); \
	has() { printf '%s\n' "$$settings" | grep -E "($$1)=" >/dev/null; }; \
	cpu=; test "$$(uname -s)" != Linux || command -v nvidia-smi >/dev/null \
		|| has 'index|index-url|find-links' || cpu=yes; \
	if command -v uv >/dev/null && ! has no-index; then \
		eval "$$(printf '%s\n' "$$settings" | sed -nE '$(PIP_TO_UV)')"; \
		export UV_INDEX_STRATEGY=unsafe-best-match; set -x; \
		uv pip install --quiet $${cpu:+--torch-backend cpu} --python $(BIN)/python --editable '.[$*]'; \
	else set -x; \
		$(PIP) install --quiet --no-compile --upgrade pip; \
		$(PIP) install --quiet --no-compile $${cpu:+--extra-index-url $(CPU_INDEX)} --editable '.[$*]'; \
	fi
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

# Where there is no Chromium, no GPU or no recordings, their tests are skipped and named; any other
# skip is a fault. Tests of compiled code run in a call of their own, without the shape checks of
# jaxtyping, which torch.compile cannot see through.
test-all: $(VENV)/.dev
	$(BIN)/pytest tests $(SIDE_BY_SIDE) -rs --may-skip=browser,gpu,recordings \
		-m "(slow or distributed or browser or gpu) and not compile"
	$(BIN)/pytest tests -o addopts="--strict-markers --import-mode=importlib" -m compile

fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz/run.py --seeds 1 2 3

docs: $(VENV)/.docs
	$(BIN)/pytest src tests/test_docs.py
	$(BIN)/mkdocs build --strict --quiet
	@echo "site: site/index.html"

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/reading_data.py
	$(BIN)/python benchmarks/reading_data.py --index 10000 100000 1000000
