# Two commands do everything on a fresh machine: `make search` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
CONSTRAINTS := .ci/constraints.txt

# tests start hundreds of processes: each would compile everything anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search test test-fast test-min faults lint docs bench clean

search: $(VENV)/.installed ## install, search the simulated medical task, report
	$(BIN)/mmauto search --task medical $(ARGS)

test: $(VENV)/.installed-dev lint ## install what tests need, run everything
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)
	$(BIN)/python -m pytest -m slow $(ARGS)

test-fast: $(VENV)/.installed-dev ## the tests that take seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

test-min: ## the fast tests with the lowest allowed versions
	$(MAKE) test-fast VENV=$(VENV)-min CONSTRAINTS=.ci/lowest.txt
	OMP_NUM_THREADS=1 $(VENV)-min/bin/python -m pytest tests/test_use.py

faults: $(VENV)/.installed-dev ## kill, disk, database, cluster and hostile input, at full length
	$(BIN)/python tests/faults/table.py

lint: $(VENV)/.installed-dev ## formatting, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev ## write the generated parts of the README anew
	$(BIN)/python tests/docs.py --write

bench: $(VENV)/.installed ## measure: each row a ratio against a named baseline, see studies/bench
	$(BIN)/mmauto bench $(ARGS)

clean:
	rm -rf $(VENV) $(VENV)-min build *.egg-info

$(VENV)/.installed: $(CONSTRAINTS) pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[pretrained,parquet,excel]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[pretrained,parquet,excel,datasets,onnx,peft,dev]"
	touch $@
