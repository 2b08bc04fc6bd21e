# Needs Python 3.11 or newer with venv, and make; everything else is brought here, pinned and hashed.

PYTHON ?= python3
WORKERS ?= 2
PACKAGE ?= operators/flow

VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/.uv-ready
READY := $(VENV)/.ready
FAST := tests/architecture $(wildcard tests/unit tests/model) tests/integration
PYTEST := $(BIN)/pytest --quiet
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock"

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup demo generate lock fmt formatted lint types layers architecture quick check test coverage mutants bench cluster image clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything that development and tests need.

$(UV): requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: '$(PYTHON)' is no Python 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: '$(PYTHON)' has no venv module; install it (on Debian the package python3-venv)" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(READY): requirements-dev.txt pyproject.toml $(UV)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $<
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## See the product at work, without a cluster; OPTIONS="--duration 10 --rate 50" and others.
	@$(BIN)/zen-streams demo $(OPTIONS)

lock: $(UV) ## Make requirements*.txt anew from pyproject.toml; LATEST=1 takes the newest versions.
	$(LOCK) $(if $(LATEST),--upgrade) --output-file requirements.txt pyproject.toml
	$(LOCK) $(if $(LATEST),--upgrade) --output-file requirements-dev.txt --group dev --extra demo \
		pyproject.toml --constraints requirements.txt
	$(LOCK) $(if $(LATEST),--upgrade) --output-file requirements-uv.txt --group uv

fmt: $(READY) ## Format the code, and repair what the linter can.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

formatted: $(READY) ## Check the format.
	$(BIN)/ruff format --check

lint: $(READY) ## Check the code with ruff.
	$(BIN)/ruff check

types: $(READY) ## Check the types with pyright.
	$(BIN)/pyright

layers: $(READY) ## Check who may import whom.
	$(BIN)/lint-imports

architecture: layers ## Check the layers and the rules of the house.
	$(PYTEST) tests/architecture

# Pyright and the tests side by side: each takes half a minute alone, and prints when it has ended.
quick: formatted lint layers ## The loop while working: format, lint, layers, types, unit tests; under a minute on two cores.
	@$(BIN)/pyright & types=$$!; $(PYTEST) -n $(WORKERS) -m "not cluster and not bench" tests/unit; tests=$$?; \
		wait $$types && exit $$tests

check: formatted lint types layers ## The loop before a commit: format, lint, types, architecture, unit, model and integration tests.
	$(PYTEST) -n $(WORKERS) -m "not cluster and not bench" $(FAST)

test: export HYPOTHESIS_PROFILE ?= ci
test: formatted lint types layers ## Everything that CI runs; the cluster tests come last, one by one.
	$(PYTEST) -n $(WORKERS) -m "not cluster and not bench"
	$(PYTEST) -m "cluster and not bench and not image"

coverage: $(READY) ## Print which lines the unit, contract and model tests do not execute.
	$(PYTEST) -n $(WORKERS) --timeout 300 -m "not cluster and not bench" --cov=operators --cov=sinks --cov=streams \
		--cov-report=term:skip-covered tests/unit tests/contract tests/model

mutants: $(READY) ## Break each statement of a package, and print what no unit test notices; PACKAGE=sinks and others.
	@$(BIN)/python -m tests.mutation.run $(PACKAGE)

bench: $(READY) ## Measure; tests/bench/BASELINE.md has what was found, and the machine.
	$(PYTEST) -s -p no:randomly -m bench tests/bench

cluster: $(READY) ## Build and start the genuine Kubernetes API server.
	$(BIN)/python -m tests.cluster.up

generate: $(READY) ## Write the generated files: CRDs, docs/fields.md, docs/metrics.md.
	@$(BIN)/python -m tests.kit.generate

image: $(READY) ## Build the image without a container engine, and look into it (root, buildah, debootstrap).
	$(PYTEST) -m image tests/cluster/test_image.py

clean: ## Remove what the other targets made, but not built clusters.
	rm -rf $(VENV) .coverage .hypothesis .pytest_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
