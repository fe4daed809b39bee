# Every command of the project. `make help` lists them.
# Needs Python >= 3.11 with venv, and make; everything else is brought from PyPI into this folder.

PYTHON ?= python3
SCENARIO ?= all
RUNS ?= 300
SEED ?= 1
MODE ?= runs
# Tests wait for processes about half of their time.
TEST_PROCESSES ?= $(shell $(PYTHON) -c "import os; print((3 * (os.cpu_count() or 1) + 1) // 2)")
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
RUN := .venv/bin
ENVIRONMENT := .venv/.ready
LOCALSTACK := .lab/localstack/.ready
S3_SERVERS := .lab/s3-servers/.ready
SCHEMATHESIS := .lab/schemathesis/.ready
MQ_BRIDGE := .lab/mq-bridge/.ready
PGBOUNCER := .lab/.pgbouncer
CHROMIUM := .lab/.chromium
AXE := .lab/axe-core/axe.min.js
AXE_VERSION := 4.14.1
AXE_SHA256 := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

.DEFAULT_GOAL := help
.PHONY: help setup demo lab bench chaos torture test check format lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(ENVIRONMENT) ## make the environment in .venv and nothing else

demo: $(ENVIRONMENT) ## run the whole pipeline here for about a minute, then print a summary (STAY=1 keeps it running)
	@$(RUN)/python -m benchmarks.demo

lab: $(ENVIRONMENT) $(LOCALSTACK) ## run PostgreSQL and LocalStack for the tutorial of a bucket that exists, until Ctrl-C
	@$(RUN)/python -m testkit.lab

bench: $(ENVIRONMENT) $(MQ_BRIDGE) ## run the load test, a quarter of an hour in all (SCENARIO=… for one scenario)
	@$(RUN)/python -m benchmarks.loadtest $(SCENARIO)

chaos: $(ENVIRONMENT) ## inject seeded faults under load and check every history; resumable (RUNS=… SEED=… MODE=runs|stop|restart|locked-row|observations)
	@$(RUN)/python -m benchmarks.chaos $(MODE) --runs $(RUNS) --seed $(SEED)

torture: chaos ## the old name of chaos

test: $(ENVIRONMENT) $(LOCALSTACK) $(S3_SERVERS) $(MQ_BRIDGE) $(SCHEMATHESIS) $(PGBOUNCER) $(CHROMIUM) $(AXE) ## run every test with branch coverage (ARGS=… goes to pytest)
	@$(RUN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

check: $(ENVIRONMENT) ## lint, check types and import contracts, look for known vulnerabilities
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache
	@$(RUN)/python -m tests.repo.audit

format: $(ENVIRONMENT) ## format the code and apply safe lint fixes
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix .

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(UV) ## update the pinned locks under requirements/
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) requirements/localstack.in -o requirements/localstack.txt
	$(COMPILE) requirements/s3-servers.in -o requirements/s3-servers.txt
	$(COMPILE) requirements/schemathesis.in -o requirements/schemathesis.txt
	$(COMPILE) requirements/mq-bridge.in -o requirements/mq-bridge.txt
	$(COMPILE) requirements/listing.in -o requirements/listing.txt
	$(COMPILE) requirements/uv.in -o requirements/uv.txt

clean: ## remove everything the other commands made
	rm -rf .venv .lab .tools .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis

CHECK_PYTHON = $(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' \
  || { echo "subscriber needs Python 3.11 or newer, with venv; name one: make PYTHON=python3.12 …"; exit 1; }

.tools/uv/bin/uv: requirements/uv.txt
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(ENVIRONMENT): requirements/dev.txt pyproject.toml | $(UV)
	@$(CHECK_PYTHON)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# The marker is left only where the program is, so that a machine which could not fetch it asks again.
$(PGBOUNCER):
	@mkdir -p $(@D)
	@if command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	       && echo "fetching PgBouncer with apt-get, which a few tests need" && apt-get update -qq >/dev/null 2>&1 \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null 2>&1; }; \
	then touch $@; else echo "PgBouncer cannot be fetched here (it takes apt-get as root): its tests are skipped."; fi

# Tests of the live page need both and do not skip: without them they fail.
$(CHROMIUM):
	@mkdir -p $(@D)
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	       && echo "fetching Chromium with apt-get, which tests of the live page need" && apt-get update -qq >/dev/null 2>&1 \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core \
	          >/dev/null 2>&1; }; \
	then touch $@; else echo "Chromium cannot be fetched here (it takes apt-get as root): tests of the live page fail."; fi

# axe-core looks for barriers to people who use a screen reader or a keyboard; npm brings it, the hash pins it.
$(AXE):
	@mkdir -p $(@D)
	@cd $(@D) && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null \
	  && echo "$(AXE_SHA256)  axe-core-$(AXE_VERSION).tgz" | sha256sum --check --quiet \
	  && tar -xzf axe-core-$(AXE_VERSION).tgz --strip-components=1 package/axe.min.js && rm axe-core-$(AXE_VERSION).tgz \
	  && touch axe.min.js || echo "axe-core cannot be fetched here (it takes npm): the test for barriers fails."

.lab/%/.ready: requirements/%.txt | $(UV)
	@$(CHECK_PYTHON)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	@touch $@
