# Onsite: everything a newcomer or a CI needs. Prerequisites: make and Python 3.11 to 3.13.
#
#   PYTHON=/path/to/python3.12   use this interpreter (default: the newest of 3.13, 3.12, 3.11 that is found)
#   VENV=.venv                   where the environment lives

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Many processes start here; without byte code on disk each compiles all that it imports, 3 s of CPU.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(notdir $(or $(PYTHON),newest))

# $(call holds,NAME,COMMAND): one line when the command succeeds, its output when it does not.
define holds
	@printf '%-46s' '$(1)'; if said=$$($(2) 2>&1); then echo ok; else echo FAILED; echo "$$said"; exit 1; fi
endef

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP)  ## the whole system with simulated technicians; SECONDS=60 ends by itself, SEED=n is another day
	@$(BIN)/onsite demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

.PHONY: test
test: $(STAMP)  ## every test, with the real embedded broker and store; ARGS="-k kernel" picks some
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

.PHONY: chaos soak
chaos: $(STAMP)  ## kill parts of a running system for SECONDS=300, see that nothing is lost; SEED=n does it again
	@$(BIN)/python -m benchmarks.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

soak: $(STAMP)  ## ten days without kills in SECONDS=3600: does the memory of a process grow?
	@$(BIN)/python -m benchmarks.chaos --rounds 0 --technicians 15 --days 10 --seconds $(or $(SECONDS),3600) $(if $(SEED),--seed $(SEED))

.PHONY: check check-lint check-format check-types check-imports check-security check-compose check-docker check-locks
check: check-lint check-format check-types check-imports check-security check-compose check-docker check-locks  ## lint, types, import direction, known bad patterns, container files, locks

check-lint: $(STAMP)
	$(call holds,lint (ruff check),$(BIN)/ruff check .)

check-format: $(STAMP)
	$(call holds,format (ruff format),$(BIN)/ruff format --check .)

check-types: $(STAMP)
	$(call holds,types (mypy),$(BIN)/mypy)

check-imports: $(STAMP)
	$(call holds,import direction (import-linter),$(BIN)/lint-imports)

# pip-audit is not among these: it asks a service on the internet.
check-security: $(STAMP)
	$(call holds,known bad patterns (bandit),$(BIN)/bandit -q -c pyproject.toml -r api dispatch geofence infra routing schemas sdk simulator stream)

check-compose: $(STAMP)
	$(call holds,docker-compose.yml (compose specification),$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml)

check-docker: $(STAMP)
	$(call holds,infra/Dockerfile (hadolint),$(BIN)/hadolint infra/Dockerfile)

check-locks: $(STAMP)
	$(call holds,lock files match pyproject.toml,$(BIN)/pytest -q -p no:cacheprovider tests/project/test_locks.py)

.PHONY: lock
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate $(if $(UPGRADE),--upgrade)
lock: $(STAMP)  ## pin the dependencies of pyproject.toml again; UPGRADE=1 takes newer versions
	@echo "Locking (half a minute)"
	@$(LOCK) pyproject.toml --extra road -o requirements.lock
	@$(LOCK) pyproject.toml --all-extras -c requirements.lock -o requirements-dev.lock

.PHONY: clean
clean:  ## remove the environment and all caches; recorded data stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements-dev.lock pyproject.toml infra/install.py
	@python=$$(sh infra/pick_python.sh "$(PYTHON)") && "$$python" infra/install.py $(VENV) requirements-dev.lock
	@touch $@
