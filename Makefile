# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find carptwist twisted -name '*.py' -o -name '*.ini' -o -path '*/conntrackd/*') setup.cfg pyproject.toml README.md
BENCHES := $(filter-out __init__,$(basename $(notdir $(wildcard tests/benches/*.py))))
APT := apt-get install -y -qq --no-install-recommends

.PHONY: help install demo test lint types unit lab packages bench soak docs api clean

help:
	@echo "make demo    two hosts share addresses, and one of them dies; about a minute"
	@echo "make test    everything that must hold: lint, types, tests, the lab with real daemons"
	@echo "make bench   measurements, side by side with their peers"
	@echo "make soak    schedules of failures until it is interrupted: SEED=7 MINUTES=60 LAB=1 (real daemons) if you like"
	@echo "make docs    write the generated pages of docs/ anew"
	@echo "make api     the pages of the API, as HTML in build/api"
	@echo "make install carptwist into $(VENV)"
	@echo "make clean   remove $(VENV) and what tools left behind"

install: $(VENV)/installed

# A plain install: an editable one would hide the twistd plugin.
$(VENV)/installed: $(VENV)/created $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check .
	touch $@

$(VENV)/tested-with: $(VENV)/installed setup.cfg
	$(BIN)/pip install --quiet --disable-pip-version-check ".[test]"
	touch $@

# Debian ships python3 without ensurepip; the package that has it is installed where that is possible.
$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "carptwist needs Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && $(APT) python3-venv; } \
		|| { echo "$(PYTHON) has no venv: install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

demo: install
	$(BIN)/carptwist lab demo

test: packages lint types unit

lint: $(VENV)/tested-with
	$(BIN)/ruff check carptwist twisted tests
	$(BIN)/ruff format --check carptwist twisted tests

types: $(VENV)/tested-with
	$(BIN)/mypy

# First what computes, in two processes at the same time, then the labs, which mostly wait for the clock, in three. Labs
# are processes of their own also because one with threads cannot enter a user namespace.
# 100 % of the branches of wire and election: the configuration is in setup.cfg.
LABS := $(sort $(wildcard tests/lab/test_*.py))
PYTEST := -m pytest -p no:cacheprovider

unit: $(VENV)/tested-with
	@$(BIN)/python $(PYTEST) tests/properties > .unit.log 2>&1 & other=$$!; \
	$(BIN)/python -m coverage run $(PYTEST) --ignore=tests/lab --ignore=tests/properties; failed=$$?; \
	wait $$other || failed=1; cat .unit.log; rm -f .unit.log; exit $$failed
	$(BIN)/python -m coverage report
	@part() { printf '%s\n' $(LABS) | awk "NR % 3 == $$1"; }; failed=0; others=; \
	for number in 1 2; do \
		$(BIN)/python $(PYTEST) $$(part $$number) > .unit.$$number.log 2>&1 & others="$$others $$!"; \
	done; \
	$(BIN)/python $(PYTEST) $$(part 0) || failed=1; \
	for other in $$others; do wait $$other || failed=1; done; \
	cat .unit.?.log; rm -f .unit.?.log; exit $$failed

# What the tests run against, as command:package of Debian. Without root the tests say what they miss.
PEERS := ucarp:ucarp ip:iproute2 tc:iproute2 tcpdump:tcpdump openssl:openssl telnet:telnet ssh:openssh-client \
	groff:groff-base conntrackd:conntrackd nft:nftables

packages:
	@PATH=$$PATH:/usr/sbin:/sbin; missing=; \
	for peer in $(PEERS); do command -v $${peer%:*} >/dev/null || missing="$$missing $${peer#*:}"; done; \
	test -z "$$missing" || { test "$$(id -u)" = 0 && apt-get update -qq && $(APT) $$missing; } \
		|| echo "not installed, and cannot be:$$missing: their tests will be skipped" >&2

bench: $(VENV)/tested-with packages
	@for bench in $(BENCHES); do echo "== $$bench"; $(BIN)/python -m tests.benches.$$bench || exit 1; done

# What breaks is kept as a scenario that the tests play from then on.
soak: $(VENV)/tested-with
	$(BIN)/python -m tests.$(if $(LAB),lab.soak,properties.soak) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SCHEDULES),--schedules $(SCHEDULES))

docs: $(VENV)/tested-with
	$(BIN)/python -m carptwist.election.table > docs/election-table.md
	$(BIN)/python -m carptwist.tools.synopsis .

# What is to be on them is in setup.cfg. A warning is an error, and so is a link to a page that there is not, of which
# pydoctor says no more than that.
api: $(VENV)/documented-with
	@mkdir -p build
	@$(BIN)/pydoctor carptwist > build/api.log 2>&1 || { cat build/api.log; exit 1; }
	@! grep "don't link to" build/api.log
	@echo "build/api/carptwist.api.html"

$(VENV)/documented-with: $(VENV)/installed setup.cfg
	$(BIN)/pip install --quiet --disable-pip-version-check ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis _trial_temp*
