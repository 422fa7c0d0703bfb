# `make` alone lists the commands. Each does its own set-up; `make setup` does nothing when all is up to date.
.DEFAULT_GOAL := help
.PHONY: help setup run demo test lint format docs lock bench clean

BIN := .venv/bin

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with everything in it (needs Python 3.11 or 3.12; PYTHON=… names one)
	@sh tools/setup.sh

run: setup ## Run all of it on this machine until Ctrl-C: database, collectors, detection, live view
	@$(BIN)/hindsight up

demo: setup ## The same for about two minutes, with a summary at the end
	@$(BIN)/hindsight up --demo

test: lint ## All checks and all tests; with Java, those of Spark too (it fetches pyspark, 434 MB, once)
	@sh tools/setup_spark.sh
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --durations 15

lint: setup ## Style, types, import rules, lock file, generated docs and dashboards
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "make lint: 'make format' puts the format right" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python -m tools.check_lock
	@$(BIN)/python -m flows.docs --check
	@$(BIN)/python -m tools.dashboards --check

format: setup ## Put format and import order right
	@$(BIN)/ruff check --quiet --fix --select I
	@$(BIN)/ruff format --quiet

docs: setup ## Write the generated pages of docs/, .env.example and the dashboards
	@$(BIN)/python -m flows.docs
	@$(BIN)/python -m tools.dashboards

lock: setup ## Pin the newest allowed versions in requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra api --extra nightly --extra report --extra dev --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml
	@printf 'pyarrow>=18\npyspark>=4.0,<5\n' | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --constraint requirements.lock \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements-spark.lock -
	@$(BIN)/python -m tools.check_lock

bench: setup ## Run the benchmarks, one after the other
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python "$$file" || exit 1; done

clean: ## Remove what was built; data in .hindsight stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/system/kafka/target
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
