# Two commands matter on a fresh machine (Python 3.11+, pip, venv, make): `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More than there are processors: a good part of the suite waits for processes, sockets and clocks.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test check bench stop clean matrix soak

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

$(VENV)/.runtime: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tradefleet needs Python 3.11 or newer, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	touch $@

# The charts' library. Without it the dashboard draws them itself, so a machine that cannot have it is no error.
$(VENV)/.npm: package-lock.json .npmrc | $(VENV)/.runtime
	@sh config/npm.sh $(BIN)/python $(VENV)/npm || echo "lightweight-charts could not be installed (above); the dashboard draws its charts itself"
	@touch $@

setup: $(VENV)/.runtime $(VENV)/.npm ## install what the fleet runs on

setup-dev: $(VENV)/.dev $(VENV)/.npm ## install what its tests and checks need as well

demo: setup ## set up, make the stores and start the fleet on the exchange simulator
	$(BIN)/fleet init
	$(BIN)/fleet sim history
	$(BIN)/fleet up
	@echo
	@echo "The fleet runs on the exchange simulator at http://127.0.0.1:9100 (no account, no real money)."
	@echo "A minute of its market takes three seconds; strategies trade it on paper."
	@echo "The dashboard is at http://127.0.0.1:8000; log in as whom you make:"
	@echo "  .venv/bin/fleet user add NAME --role admin"
	@echo "or by the one-time link in the api's log: .venv/bin/fleet logs api"
	@echo
	@echo "  .venv/bin/fleet feed candles --symbols RELIANCE --backfill"
	@echo "  .venv/bin/fleet query 'SELECT symbol, count(*) FROM candles GROUP BY symbol'"
	@echo "  .venv/bin/fleet candles RELIANCE --timeframe 1d      three months of the market's past"
	@echo "  .venv/bin/fleet backtest run --strategy sma_cross --symbols RELIANCE,TCS --from D --to D"
	@echo "  .venv/bin/fleet feed signals --backfill      what the strategies say"
	@echo "  .venv/bin/fleet positions                    what is held, and what it came to"
	@echo "  .venv/bin/fleet preflight                    may trading begin? GO or NO-GO"
	@echo "  .venv/bin/fleet status         which services run"
	@echo "  .venv/bin/fleet health         is everything stored in order"
	@echo "  .venv/bin/fleet logs ingestor -f         follow one service"
	@echo "  make stop                      stop it all"

test: setup-dev ## the whole suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: setup-dev ## what CI checks besides the tests: style, types, import contracts, tidy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/tidy

matrix: setup-dev ## every kill of every kill matrix (long)
	$(BIN)/python -m pytest -m matrix -n $(WORKERS) --timeout 3600

soak: setup-dev ## long runs (an hour and more)
	$(BIN)/python -m pytest -m soak --timeout 7200

bench: setup-dev ## our numbers beside the bare parts' and the peers'
	$(BIN)/python -m bench

stop: ## stop the fleet
	@test ! -x $(BIN)/fleet || $(BIN)/fleet down

clean: stop ## remove what setup and the checks made; data stays
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
