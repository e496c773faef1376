# make app    install, start the server, open the demo in the browser
# make test   install, then every check and every test
# make map    build the fast cell map with Node; where there is no Node, the pages draw a plain one
# make check  ruff, mypy --strict, import-linter
# make lock   resolve pyproject.toml anew and write requirements.lock

PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON)),)
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# Threads that wait must sleep: spinning ones take the processor from the other libraries' threads.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: app test check map bench lock clean

app: $(INSTALLED) map
	$(BIN)/scfm serve --demo pbmc3k --open

test: check
	@sh .ci/chromium || echo "No Chromium could be installed here: the browser tests are skipped."
	@sh .ci/node || echo "No Node could be installed here: the pages draw the plain map, and the tests of the fast one are skipped."
	@$(MAKE) --no-print-directory map
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

map:
	@sh .ci/build_map

bench: $(INSTALLED) map
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'  # older ones know no groups
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scFM Explorer needs Python 3.11 or newer, found " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -W ignore -c 'import scanpy, umap'  # compiles once what every first map would wait for
	touch $(INSTALLED)

# torch is pinned by hand: a range would bring gigabytes of CUDA packages to machines without a GPU. plottable is left
# out: scib-metrics asks for it to draw tables that we draw ourselves, and its wheel brings a package called "tests".
lock:
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)/lock/bin/python -m pip install --quiet hatchling editables '.[integration,benchmark]' --group test --group check
	{ echo "# Exact versions for Python 3.11, written by 'make lock'."; \
	  $(VENV)/lock/bin/python -m pip freeze --exclude scfm-explorer --exclude plottable | sed -E 's/^torch( @|==).*/torch==2.13.0/'; } > requirements.lock
	rm -rf $(VENV)/lock

clean:
	rm -rf $(VENV) build dist node_modules assets/cell_map/build
