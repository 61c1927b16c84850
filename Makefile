# make setup: .venv with everything; make demo: see it work, in out/demo/; make test: every check;
# make chaos: faults on real processes, results in out/chaos/ (some 25 minutes).

# The first Python that is new enough; the environment's own is used after that.
PYTHON := $(firstword $(foreach p,python3.11 python3,$(shell $(p) -c \
	'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --retries 5 --timeout 60
READY := $(VENV)/ready

.PHONY: setup demo test chaos clean

setup: $(READY)

$(READY): setup.py pyproject.toml
ifeq ($(PYTHON),)
	@echo "phia needs Python 3.11 or newer as python3.11 or python3; found neither" >&2; exit 2
endif
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable '.[pipeline,broker,report,trainer,test]'
	touch $@

demo: setup
	$(BIN)/phia demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

chaos: setup
	$(BIN)/python -m chaos

clean:
	rm -rf out build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
