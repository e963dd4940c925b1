# `make` lists the targets. Longer commands are in scripts/.
.DEFAULT_GOAL := help
.PHONY: help run web test test-deep test-quick check bench reference lock install clean
.DELETE_ON_ERROR:

PY := .venv/bin/python
INSTALLED := .venv/.installed
# Container images often set this variable. Each of a thousand starts would then compile every module again.
unexport PYTHONDONTWRITEBYTECODE
# Further arguments for pytest and the benchmark: make test ARGS="tests/api -x"
ARGS ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

run: install ## Serve on http://127.0.0.1:8000; the first run creates demo data; HUB_… settings apply
	@$(PY) -m api demo --once && exec $(PY) -m api serve

web: ## Build web/dist from web/ with esbuild; needs Node
	@cd web && npm ci --silent --no-audit --no-fund --ignore-scripts && node build.mjs

test: install ## Run every test, with real servers and a real browser; installs what is missing from Debian and npm
	@scripts/test-needs
	@scripts/test $(ARGS)

test-deep: install ## Run every test at full depth: more examples, all kill points, 200 kills of a hub
	@scripts/test-needs
	@scripts/test --deep $(ARGS)

test-quick: install ## Run the tests that need no server and no browser, in two processes
	$(PY) -m pytest -n 2 --dist worksteal --ignore tests/system --ignore tests/browser $(ARGS)

check: install ## Check style, types and imports: ruff, mypy --strict and import-linter
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

bench: install ## Compare the hub with other servers and print ratios
	$(PY) -m bench $(ARGS)
	$(PY) -m bench.streams
	$(PY) -m bench.many_users
	$(PY) -m bench.growth
	$(PY) -m bench.messages
	$(PY) -m bench.soak

reference: install ## Generate docs/reference from the code
	$(PY) -m scripts.reference

lock: install ## Resolve both Python lock files again, with hashes for every platform
	$(PY) -m uv pip compile --quiet --universal --all-extras --generate-hashes --no-header --no-annotate \
	    pyproject.toml -o requirements.lock
	$(PY) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    -c requirements.lock bench/peers_src/fastapi.in -o bench/peers_src/fastapi.lock

install: $(INSTALLED) ## Install the packages of requirements.lock into .venv

$(INSTALLED): requirements.lock pyproject.toml scripts/install
	@scripts/install

clean: ## Remove .venv, caches, node_modules and built benchmark peers; data and web/dist stay
	rm -rf .venv .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	rm -rf web/node_modules tests/js/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
