# Everything a contributor or a CI runs. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# uv as found on the machine, if it is new enough to read dependency groups; otherwise one of our own in the venv.
UV = $$(if uv pip install --help 2>/dev/null | grep -q -e --group; then echo uv; else echo $(BIN)/uv; fi)

# The oldest supported and every newer line of Airflow that `make matrix` tests; the last is the one in .venv.
AIRFLOW_OLDER := 2.11.2 3.0.6 3.1.8 3.2.2
AIRFLOW_NEWEST := 3.3.2

# What an older line needs besides what it declares; `make constraints` writes it into that line's file.
# 3.0: its in-process API answers 422 to everything under newer releases of FastAPI.
PINS_3.0.6 := 'fastapi<0.118'
# 3.2: FastAPI as in 3.3, which says so itself; svcs 26 keeps its registry where this Airflow does not look.
PINS_3.2.2 := 'fastapi<0.137' 'svcs<26'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*  ## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP)  ## install everything into .venv (free when nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  if [ "$(UV)" = uv ]; then uv venv --quiet --clear --python "$$(command -v $(PYTHON))" $(VENV); \
	  else $(PYTHON) -m venv --clear $(VENV); fi
	@[ "$(UV)" = uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "installing into $(VENV)"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[demo]' --group dev
	@touch $@

# In several processes, each file in one of them; tests/conftest.py decides how many, and what begins first.
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: test
test: format-check lint types imports $(STAMP)  ## what CI runs: format, lint, types, import rules, all tests, the example DAGs
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/core --cov=airflow_provider_fivetran/core
	$(BIN)/pytest $(SIDE_BY_SIDE) --ignore=tests/core

.PHONY: check
check: test  ## the same as `make test`

.PHONY: unit
unit: $(STAMP)  ## pytest alone; ARGS="-k name" narrows it
	$(BIN)/pytest $(ARGS)

.PHONY: unit-postgres
unit-postgres: $(STAMP)  ## some of the tests with a PostgreSQL below Airflow; ARGS="tests/webhooks"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group live
	@exec $(BIN)/python tests/live/on_postgres.py $(or $(ARGS),tests/webhooks)

.PHONY: coverage
coverage: $(STAMP)  ## all tests, and which lines of the package they reach; twice as slow as without
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov

.PHONY: chaos
chaos: $(STAMP)  ## many tasks in bad weather, minutes long; ARGS="--seed 7 --storms 20 --tasks 100 --disturbed 0.3"
	$(BIN)/python tests/chaos/storm.py $(ARGS)

.PHONY: live
live: $(STAMP)  ## a real Airflow whose workers, triggerers and scheduler are killed, minutes long; ARGS="--only marked"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group live
	@exec $(BIN)/python tests/live/disturb.py $(ARGS)

.PHONY: receiver-abuse
receiver-abuse: $(STAMP)  ## the webhook receiver of a real api-server under attack, three minutes; ARGS="--scale 0.1"
	@exec $(BIN)/python tests/abuse/abuse.py $(ARGS)

BENCH := .venvs/bench
$(BENCH)/.installed: $(STAMP)
	@echo "installing into $(BENCH)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(BENCH)
	@$(UV) pip install --quiet --python $(BENCH)/bin/python --constraint constraints.txt --editable '.[bench,simulator]'
	@touch $@

.PHONY: landings
landings: $(STAMP)  ## a real Airflow whose DAGs run when data lands, with restarts in between, six minutes; ARGS="--kill"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group live
	@exec $(BIN)/python tests/live/landings.py $(ARGS)

.PHONY: watched
watched: $(STAMP)  ## what watching 1, 50 and 500 connections costs in a real Airflow, fifteen minutes; ARGS="--counts 1,50"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group live
	@exec $(BIN)/python tests/live/watched.py $(ARGS)

.PHONY: transformed
transformed: $(STAMP)  ## transformations after syncs in a real Airflow, killed, cleared and left alone, four minutes; ARGS="--only marked"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group live
	@exec $(BIN)/python tests/live/transformed.py $(ARGS)

.PHONY: bench
bench: $(BENCH)/.installed  ## many waits, ours and a peer's, about an hour; ARGS="--load quick,mix --counts 1,10,100 --only ours"
	@exec $(BENCH)/bin/python -m benchmarks $(ARGS)

.PHONY: snapshot
snapshot: $(STAMP)  ## a snapshot of 5,000 connections: requests, seconds, memory, killed on its way, ten minutes; ARGS="--connections 200"
	@exec $(BIN)/python -m benchmarks.snapshot $(ARGS)

CLUSTER := .venvs/cluster
$(CLUSTER)/.installed: $(STAMP)
	@echo "installing into $(CLUSTER)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(CLUSTER)
	@$(UV) pip install --quiet --python $(CLUSTER)/bin/python --constraint constraints.txt --editable '.[simulator]' --group cluster
	@touch $@

.PHONY: cluster
cluster: $(CLUSTER)/.installed  ## 300 deferred tasks on PostgreSQL, Redis and Celery, a triggerer killed, 25 minutes; ARGS="--tasks 20"
	@exec $(CLUSTER)/bin/python -m benchmarks.cluster.run $(ARGS)

.PHONY: bench-worker
bench-worker: $(STAMP)  ## what a deferrable task costs a worker, and what of it is Airflow's own, ten minutes; ARGS="--runs 3"
	@exec $(BIN)/python -m benchmarks.worker_seconds $(ARGS)

.PHONY: format
format: $(STAMP)  ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: format-check
format-check: $(STAMP)
	$(BIN)/ruff format --check .

.PHONY: lint
lint: $(STAMP)  ## ruff's rules
	$(BIN)/ruff check .

.PHONY: types
types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

.PHONY: imports
imports: $(STAMP)  ## who may import whom
	$(BIN)/lint-imports --no-cache

.PHONY: hook-page
hook-page: $(STAMP)  ## write docs/hook.md anew, from what the hook's methods say of themselves
	@exec $(BIN)/python tests/support/hook_page.py

.PHONY: matrix
matrix: $(STAMP)  ## the tests on every supported line of Airflow, each in its own environment
	@UV="$(UV)" $(BIN)/python tests/matrix.py $(AIRFLOW_OLDER) $(AIRFLOW_NEWEST)

.PHONY: matrix-ends
matrix-ends: $(STAMP)  ## the same on the oldest and the newest only
	@UV="$(UV)" $(BIN)/python tests/matrix.py $(firstword $(AIRFLOW_OLDER)) $(AIRFLOW_NEWEST)

.PHONY: demo
demo: $(STAMP)  ## a Fivetran, a warehouse and dbt on this machine: one run from sync to models
	@exec $(BIN)/python example_dags/demo/run.py

.PHONY: demo-ui
demo-ui: $(STAMP)  ## the same with Airflow's web interface, until Ctrl-C
	@exec $(BIN)/python example_dags/demo/run.py --ui

.PHONY: demo-watched
demo-watched: $(STAMP)  ## the same where Fivetran keeps its own schedule: a DAG that nobody triggers runs when data has landed
	@exec $(BIN)/python example_dags/demo/run.py --watched

COMPILE = $(UV) pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate pyproject.toml -
.PHONY: constraints $(AIRFLOW_OLDER:%=constraints/airflow-%.txt)
constraints: $(AIRFLOW_OLDER:%=constraints/airflow-%.txt)  ## resolve anew and rewrite the constraints files
	@echo apache-airflow==$(AIRFLOW_NEWEST) | $(COMPILE) --extra demo --extra bench --group dev --group live --group cluster --output-file constraints.txt

$(AIRFLOW_OLDER:%=constraints/airflow-%.txt): constraints/airflow-%.txt:
	@printf '%s\n' apache-airflow==$* $(PINS_$*) | $(COMPILE) --extra simulator --group test --output-file $@

.PHONY: clean
clean:  ## remove what was built, but no environment (`make clean-all` does)
	rm -rf build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo
	find airflow_provider_fivetran benchmarks tests example_dags -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean
	rm -rf $(VENV) .venvs
