# Two commands, each doing all its set-up on a fresh machine:
#   make demo   a three-node cluster loses its primary before your eyes
#   make test   all tests
# And: make unit (no database, no root), make check-versions (unit tests on every Python here).

VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: demo test unit check-versions clean

$(VENV)/.ready: requirements-tests.txt .ci/venv
	@.ci/venv $(VENV)

demo: $(VENV)/.ready
	@$(PYTHON) -m ahmlib.lab.demo

test: $(VENV)/.ready
	$(PYTHON) -m pytest -q -rs tests

unit: $(VENV)/.ready
	$(PYTHON) -m pytest -q -rs tests/unit

check-versions:
	@.ci/versions

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .hypothesis
