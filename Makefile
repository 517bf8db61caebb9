# The menu. Everything else is set up as needed: no step has to be remembered.

# The distribution's Python: on a Pi only that one sees apt's python3-lgpio. A Mac's own is too old.
PYTHON ?= $(firstword $(if $(filter Linux,$(shell uname)),$(wildcard /usr/bin/python3)) python3)
# Another one beside it for another Python: make quick PYTHON=python3.14 VENV=.venv-3.14
VENV := .venv
BIN := $(VENV)/bin
PI := $(shell grep -aqs 'Raspberry Pi' /proc/device-tree/model && echo yes)
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),--quiet)
# Without a registry pip gives up in seconds, not in minutes.
PIP_RETRIES ?= 2
PIP_DEFAULT_TIMEOUT ?= 15
export PIP_RETRIES PIP_DEFAULT_TIMEOUT
# Nothing is resolved here: the lock names every file, so no newer release can break this.
EXACTLY := --no-deps --require-hashes
WHOLE = said=$$($(BIN)/python -m pip --disable-pip-version-check check) || \
  { echo "$$said"; echo 'what is installed does not fit together: make clean, then again' >&2; exit 1; }
# A Pi's .venv sees apt's packages (python3-lgpio), but never while pip looks at what is there.
SYSTEMS = $(if $(PI),sed -i 's/^\(include-system-site-packages =\).*/\1 $(1)/' $(VENV)/pyvenv.cfg,:)

.PHONY: menu setup dev run needs test quick test-forky test-ha test-installed test-chip test-arm test-pi check \
  lint deb chaos centre test-centre model soak fuzz fuzz-page mutate bench lock lock-ha clean new-venv \
  test-page

menu:
	@echo 'make setup   make .venv and install what backdoor needs (the others do it too)'
	@echo 'make run     start the demo: simulated pins and the page; PORT=8080, LAN=1 for phones'
	@echo 'make test    run all tests, with coverage'
	@echo 'make check   lint, types and all tests: what CI runs'
	@echo 'make deb     make the Debian packages (arm64, amd64) in dist/'
	@echo 'make test-ha try it in real Home Assistants, 2025 and 2026; HA_VERSION=2026.11.0'
	@echo 'make test-installed  install, break, upgrade, remove it on a Debian of its own (root)'
	@echo 'make test-forky      the quick tests on Python 3.14, on a Debian of its own (root)'
	@echo 'make test-arm     core, pins and journal on 64-bit ARM, by qemu (root)'
	@echo 'make test-pi      the installed product on an emulated Pi 3 of 512 MB (root)'
	@echo 'make test-chip       the pins on Linux'"'"'s GPIO simulator, in a virtual machine'
	@echo 'make chaos   kill controller and broker a thousand times; ROUNDS=10 JOBS=4'
	@echo 'make centre  try many bars: three NATS nodes, Postgres, BARS=30, SPEED=60, the page of all'
	@echo 'make test-centre  kill, freeze and cut all of that; ROUNDS=200'
	@echo 'make model   walk every state of the rules at 1 to 4 places; ARGS=2'
	@echo 'make soak    a year of evenings in some minutes, twice; ARGS=30'
	@echo 'make fuzz    odd bytes wherever some are read, and new examples; ARGS=100000 MINUTES=60'
	@echo 'make fuzz-page  odd requests at the page, by its description; CASES="300 SEED"'
	@echo 'make test-page  the page'"'"'s marks by Lighthouse, 95 at least (needs npm)'
	@echo 'make mutate  break each rule and see that a test minds; ARGS=rules'
	@echo 'make bench   measure, and print the figures'
	@echo 'make lock    renew the lock files (needs uv); make lock-ha those of Home Assistant'
	@echo 'make clean   remove what make made'

setup: $(VENV)/run.stamp
	@:

dev: $(VENV)/dev.stamp
	@:

run: setup
	@exec $(BIN)/backdoor demo $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(LAN)),--lan)

# The pure core, down to the row of the wire, is covered to the last branch.
test: needs dev
	@$(BIN)/pytest $(PARALLEL) --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --skip-covered --fail-under=$(COVER)
	@$(BIN)/coverage report --skip-covered --include="$$(echo $(CORE) | tr ' ' ,)" --fail-under=100 > .core.txt || \
	  { echo 'the pure core is not covered to the last branch:'; cat .core.txt; exit 1; }

# What is missing is said at once, before anything is installed or run.
needs:
	@tests/needs

check: needs lint test

lint: dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo 'put it right with $(BIN)/ruff format' >&2; exit 1; }
	@imports=$$($(BIN)/lint-imports --no-logo --no-cache 2>&1) || { echo "$$imports"; exit 1; }
	@$(BIN)/mypy
	@command -v shellcheck >/dev/null || \
	  { echo 'shellcheck is missing: sudo apt install shellcheck' >&2; exit 1; }
	@shellcheck .ci/run tests/needs tests/gpio_sim/run tests/gpio_sim/init

# Everything but what is slow and the browser: whether another Python works as well.
quick: dev
	@$(BIN)/pytest $(PARALLEL) -m 'not slow' --ignore=tests/browser -o cache_dir=$(VENV)/tried $(ARGS)

# Python 3.14, where the machine has none: the quick tests on a Debian that brings it.
test-forky: dev
	@$(BIN)/python -m tests.installed.forky $(if $(ARGS),ARGS='$(ARGS)')

# Debian packages into dist/: the release, and the locked wheels for Debian 12 and 13.
deb: dev
	@$(BIN)/python systemd/deb/build.py $(ARGS)

# A Debian in a container, made once and cached; needs mmdebstrap and systemd-container.
SUITES ?= bookworm trixie
test-installed: $(SUITES:%=test-installed-%)

test-installed-%: dev
	@echo '--- installed on Debian $*'
	@BACKDOOR_INSTALLED=1 SUITE=$* $(BIN)/pytest -p no:cacheprovider tests/installed $(ARGS)

# One module of the kernel is built for it, once; see tests/gpio_sim/run for what it needs.
test-chip: dev
	@tests/gpio_sim/run

# The release as the arm64 package makes it, on ARM Debians; needs qemu-user-static and arch-test too.
test-arm: dev
	@$(BIN)/python -m tests.installed.arm $(ARGS)

# Memory and restarts on an emulated Pi 3 of 512 MB; needs qemu-system-arm besides. KILLS=10
test-pi: dev
	@SUITE=$${SUITE:-trixie} $(BIN)/python -m tests.installed.pi

chaos: dev
	@$(BIN)/python -m tests.tools.chaos kills $(or $(ROUNDS),1000) $(JOBS)
	@$(BIN)/python -m tests.tools.chaos brokers $(or $(ROUNDS),100) $(JOBS)
	@$(BIN)/python -m tests.tools.chaos cuts $(or $(ROUNDS),9000) $(JOBS)
	@$(BIN)/python -m tests.tools.chaos rot $(or $(ROUNDS),5000) $(JOBS)
	@$(BIN)/python -m tests.tools.chaos instants $(or $(ROUNDS),1000) $(JOBS)
	@$(BIN)/python -m tests.tools.chaos processes $(or $(ROUNDS),100) $(JOBS)

# The servers are real: nats-server comes with the tests' packages, Postgres is Debian's.
centre: needs dev
	@exec $(BIN)/python -m tests.tools.centre demo $(or $(BARS),30) $(or $(SPEED),60) $(or $(PORT),8080)

test-centre: needs dev
	@if [ -d tests/centre ]; then $(BIN)/pytest tests/centre $(ARGS); fi
	@$(BIN)/python -m tests.tools.centre rate
	@$(BIN)/python -m tests.tools.centre week
	@$(BIN)/python -m tests.tools.centre chaos $(or $(ROUNDS),200)

model: dev
	@$(BIN)/python -m tests.tools.model $(ARGS)

soak: dev
	@$(BIN)/python -m tests.tools.soak $(ARGS)

fuzz: dev
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	  $(PIP) $(EXACTLY) -r tests/tools/fuzz.lock 2>/dev/null || true
	@$(BIN)/python -m tests.tools.fuzz $(ARGS)
	@$(BIN)/python -m tests.support.examples $(MINUTES)
	@$(MAKE) --no-print-directory fuzz-page

# In an environment of its own: it brings many packages, and would sit in every run of pytest.
fuzz-page: dev .venv-page/stamp
	@$(BIN)/python -m tests.tools.fuzz_page .venv-page/bin/schemathesis $(CASES)

.venv-page/stamp: tests/tools/fuzz-page.lock
	@$(BIN)/python -m venv --clear .venv-page
	@.venv-page/bin/pip install --quiet --disable-pip-version-check $(EXACTLY) -r $<
	@touch $@

# Not in `make test`: it brings 90 packages of another world, and takes half a minute a state.
LIGHTHOUSE := 13.5.0
test-page: dev .lighthouse/$(LIGHTHOUSE).stamp
	@$(BIN)/python -m tests.tools.lighthouse .lighthouse/node_modules/.bin/lighthouse

.lighthouse/$(LIGHTHOUSE).stamp:
	@command -v npm >/dev/null || { echo 'npm is missing: sudo apt install npm' >&2; exit 1; }
	@npm install --silent --no-fund --no-audit --no-save --prefix .lighthouse lighthouse@$(LIGHTHOUSE)
	@touch $@

mutate: dev
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(PIP) $(EXACTLY) -r tests/tools/mutate.lock
	@$(BIN)/python -m tests.tools.mutate $(ARGS)

bench: dev
	@for bench in tests/tools/bench/bench_*.py; do \
	  $(BIN)/python -m tests.tools.bench.$$(basename $$bench .py) $(ARGS) || exit 1; done

# Real Home Assistants, each in an environment or a Debian of its own: the first time takes minutes.
test-ha: dev
	@ARGS='$(ARGS)' $(BIN)/python -m tests.homeassistant.releases $(HA_VERSION)

lock-ha: dev
	@test -x $(BIN)/uv || $(PIP) uv
	@$(BIN)/python -m tests.homeassistant.lock $(HA_VERSION)

# --- set-up: done again only when a lock file or pyproject.toml changes --------------------------

COVER := 95
# Most tests wait for a broker, a browser or a clock: four at a time keep two cores busy.
PARALLEL := --numprocesses 4 --dist worksteal
CORE := controller/events.py \
  controller/rules/occupancy.py \
  controller/rules/state.py \
  controller/rules/transition.py \
  controller/rules/commands.py \
  controller/rules/handlers.py \
  controller/rules/plausible.py \
  controller/rules/step.py \
  controller/rules/question.py \
  controller/rules/reconcile.py \
  controller/rules/session.py \
  controller/rules/undo.py \
  controller/sensing/patterns.py \
  controller/sensing/depths.py \
  controller/sensing/classify.py \
  controller/sensing/contacts.py \
  controller/sensing/knocks.py \
  controller/sensing/passages.py \
  controller/sensing/rhythms.py \
  controller/sensing/settings.py \
  controller/sensing/sensing.py \
  controller/codec.py \
  controller/config/types.py \
  controller/config/schema.py \
  controller/config/settings.py \
  controller/config/loader.py \
  controller/config/toml_file.py \
  controller/mqtt/inbox.py \
  controller/mqtt/message.py \
  controller/mqtt/snapshot.py \
  controller/service/night.py \
  controller/journal/checks.py \
  controller/journal/records.py \
  controller/integrations/devices.py \
  controller/integrations/entities.py \
  controller/integrations/discovery.py \
  controller/config/presets.py \
  controller/service/reporter.py \
  controller/journal/outbox.py \
  controller/gpio/header.py \
  controller/config/notify.py \
  controller/config/brokers.py \
  controller/notify/notices.py \
  controller/notify/decide.py \
  controller/notify/venues.py \
  controller/notify/routing.py \
  controller/notify/pending.py \
  controller/notify/answers.py \
  controller/notify/words.py

define CHECK_PYTHON
import sys
have = sys.version_info[:2]
name = '%s is Python %d.%d' % ((sys.argv[1],) + have)
if have < (3, 11):
    sys.exit('%s and backdoor needs 3.11 or newer: take Debian 12 or newer, or name another'
             ' Python: make run PYTHON=python3.12' % name)
if have > (3, 14):
    sys.stderr.write('%s, newer than any that backdoor is tested with: trying it\n' % name)
endef
export CHECK_PYTHON

new-venv:
	@test -w . || { echo 'nothing can be written into $(CURDIR):' \
	  'clone into a folder of your own, such as ~/backdoor' >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo 'there is no $(PYTHON):' \
	  'sudo apt install python3-venv, or name another: make run PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON" $(PYTHON)
	@$(PYTHON) -c 'import venv; from ensurepip import bootstrap' 2>/dev/null || \
	  { echo 'the venv module is missing: sudo apt install python3-venv' >&2; exit 1; }
	@echo 'setting up $(VENV), this once: it takes about a minute ...'
	@$(PYTHON) -m venv --clear $(VENV)

# `run.stamp` says that the venv is whole. It is put aside while pip works: what was killed meanwhile is
# begun anew. Where pip only could not fetch, nothing was changed and the stamp comes back.
INSTALL = mv -f $(VENV)/run.stamp $(VENV)/held.stamp 2>/dev/null; $(PIP)
OR_SAY = 2>$(VENV)/pip.log || { why='pip could not install it'; \
  grep -qE 'Retrying|Could not fetch|Timeout|from versions: none' $(VENV)/pip.log && \
    { why='the package registry is not in reach: join a network, or name one by PIP_INDEX_URL'; \
      mv -f $(VENV)/held.stamp $(VENV)/run.stamp 2>/dev/null; }; \
  echo "$$why; pip's words are in $(CURDIR)/$(VENV)/pip.log" >&2; exit 1; }

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(if $(wildcard $(VENV)/run.stamp),,new-venv)
	@echo 'installing what backdoor needs ...'
	@$(call SYSTEMS,false)
	@$(INSTALL) $(EXACTLY) -r requirements.lock $(OR_SAY)
	@$(PIP) --quiet --no-deps --no-index --no-build-isolation --editable . $(OR_SAY)
	@$(WHOLE)
	@$(call SYSTEMS,true)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo 'installing what the tests need ...'
	@$(call SYSTEMS,false)
	@$(INSTALL) $(EXACTLY) -r requirements-dev.lock $(OR_SAY)
	@$(WHOLE)
	@$(call SYSTEMS,true)
	@touch $(VENV)/run.stamp $@

# No registry and no path of this machine in the locks: any index serves them.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-strip-extras --no-annotate --no-header

lock:
	@test -x $(BIN)/uv || $(PIP) uv
	@echo 'setuptools>=77' | $(LOCK) pyproject.toml - -o requirements.lock
	@echo 'setuptools>=77' | $(LOCK) --extra notify -c requirements.lock pyproject.toml - -o requirements-notify.lock
	@echo 'setuptools>=77' | $(LOCK) --extra postgres -c requirements.lock pyproject.toml - -o requirements-postgres.lock
	@echo 'setuptools>=77' | $(LOCK) --extra centre -c requirements.lock \
	  -c requirements-postgres.lock pyproject.toml - -o requirements-centre.lock
	@$(LOCK) --extra dev --extra pi --extra notify --extra postgres --extra centre -c requirements.lock \
	  -c requirements-notify.lock -c requirements-postgres.lock -c requirements-centre.lock \
	  pyproject.toml -o requirements-dev.lock
	@echo schemathesis | $(LOCK) - -o tests/tools/fuzz-page.lock
	@echo atheris | $(LOCK) - -o tests/tools/fuzz.lock
	@echo mutmut | $(LOCK) -c requirements.lock -c requirements-dev.lock - -o tests/tools/mutate.lock

clean:
	rm -rf .venv .venv-page .lighthouse .mutants .core.txt build dist *.egg-info .coverage .*_cache .hypothesis
