# Everything from a clone with only Python 3.11+, git and make. `make help` lists the targets.
#
# Stamps in .venv say what is installed there, so that a second run starts at once: `run` for the
# program alone (what `make demo` needs), `dev` for the program with tests and tools.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 9092
HTTP   ?= 127.0.0.1:8000
TESTS  ?=
VERSION ?= dev
# Tests share the cores: half of them wait for a broker, a browser or a process of their own.
WORKERS ?= --numprocesses=3 --dist=loadgroup
COMPARE ?=
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo dashboard test test-all warm lint kafka plant stress chaos compare compare-speed compare-bursts bench soak docs site wheel release lowest lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/stamp-run ## set up, then show live recommendations from a bundled sample of a real shop
	@$(BIN)/stream-rec demo

dashboard: $(VENV)/stamp-serve ## set up, then show the same sample live in a browser, at 127.0.0.1:8000 (or HTTP=...)
	@$(BIN)/stream-rec demo --http $(HTTP)

test: warm ## set up, then run the tests (not those that are slow, of stress, or of chaos)
	$(BIN)/python -m pytest $(WORKERS) $(TESTS)

test-all: warm ## the same with the slow ones: what .ci/run runs
	$(BIN)/python -m pytest $(WORKERS) -m "not stress and not chaos" $(TESTS)

warm: $(VENV)/stamp-dev ## compile the kernels, so that nothing waits for it later
	@$(BIN)/python -c 'from stream_rec.service.assembly import warm_up; warm_up.warm_up_all(); warm_up.warm_up_evaluation()'

lint: $(VENV)/stamp-dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kafka: $(VENV)/stamp-dev ## a Kafka broker at 127.0.0.1:9092 (or PORT=...), until Ctrl-C; needs java and mvn
	@PYTHONPATH=tests/support exec $(BIN)/python -m kafka_broker --port $(PORT)

plant: $(VENV)/stamp-dev ## plant one bug at a time, and see that the laws' tests see it (minutes)
	$(BIN)/python tools/plant_bugs.py

stress: $(VENV)/stamp-dev ## half an hour of random logs, every invariant checked after each step
	$(BIN)/python -m pytest $(WORKERS) -m stress $(TESTS)

chaos: $(VENV)/stamp-dev ## twenty minutes: replicas, a broker and nodes of a cluster are killed under load, then all is counted
	STREAM_REC_CHAOS_RESULT=benchmarks/results/chaos.txt $(BIN)/python -m pytest -m chaos

compare: $(VENV)/stamp-dev ## what this tree puts out beside an older build, byte for byte (COMPARE="--revision REV --quick")
	$(BIN)/python tools/compare_outputs.py $(COMPARE)

compare-speed: $(VENV)/stamp-bench ## this tree's benchmarks and an older build's in turn (COMPARE="query --rounds 3"); an hour or more
	$(BIN)/python benchmarks/compare_builds.py $(COMPARE)

compare-bursts: $(VENV)/stamp-bench ## this tree and an older build, a few milliseconds of work in turn (COMPARE="--bursts 50"); ten minutes
	$(BIN)/python benchmarks/compare_bursts.py $(COMPARE)

bench: $(VENV)/stamp-bench ## every benchmark, rivals included; writes benchmarks/results
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

soak: $(VENV)/stamp-dev ## twenty minutes of a service on Kafka at its limits, with a picture; writes benchmarks/results
	$(BIN)/python benchmarks/soak.py

docs: $(VENV)/stamp-dev ## write what is generated anew: pages of docs/reference, figures, Grafana's dashboard, notebooks
	$(BIN)/python tools/settings_reference.py
	$(BIN)/python tools/metrics_reference.py
	$(BIN)/python tools/api_reference.py
	$(BIN)/python tools/client_snippets.py
	$(BIN)/python tools/figures.py
	$(BIN)/python tools/sizing.py --write
	$(BIN)/python tools/grafana_dashboard.py
	$(BIN)/python tools/notebook.py

site: $(VENV)/stamp-docs ## the documentation site into build/site/dev (or VERSION=...); broken links and anchors are errors
	$(BIN)/python tools/docs_site.py $(VERSION)

wheel: $(VENV)/stamp-dev ## dist/*.whl
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

release: ## dist/ (sdist, wheel), sbom/ and docs/reference/licences.md, checked: what a release publishes
	tools/release $(PYTHON)

lowest: ## the tests without a broker, with the lowest versions that pyproject.toml allows, in .venv-lowest
	tools/lowest $(PYTHON) $(TESTS)

lock: ## make constraints.txt and locks anew from the newest versions that pyproject.toml allows
	tools/lock $(PYTHON)

clean: ## remove everything that these targets made
	rm -rf $(VENV) .venv-* .kafka build dist sbom .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The tree is installed in place (editable), without build isolation: the build tool comes from the
# same lock as everything else.
$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "stream-rec needs Python 3.11 or newer, and '$(PYTHON)' is" \
	       "$$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments." \
	       "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or so) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/stamp-run: $(VENV)/stamp-venv constraints.txt pyproject.toml
	@$(PIP) hatchling
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/stamp-serve: $(VENV)/stamp-run
	@$(PIP) --no-build-isolation --editable '.[serve]'
	@touch $@

# Everything that the tests run with is known by its hash; the tree itself has none.
$(VENV)/stamp-dev: $(VENV)/stamp-venv locks/dev.txt pyproject.toml
	@echo "Installing the program and the tools for tests ..."
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --requirement locks/dev.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-build-isolation --no-deps --editable .
	@touch $(VENV)/stamp-run $@

$(VENV)/stamp-docs: $(VENV)/stamp-dev docs/site/requirements.txt
	@echo "Adding Sphinx ..."
	@$(PIP) --requirement docs/site/requirements.txt
	@touch $@

$(VENV)/stamp-bench: $(VENV)/stamp-dev
	@echo "Adding the rivals ..."
	@$(PIP) --no-build-isolation --editable '.[bench]'
	@touch $@
