# Everything runs in a virtual environment of its own, made from the lock file on first use.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores; some packages carry files that do not compile
	touch $@

.PHONY: setup
setup: $(READY) ## Make the virtual environment

.PHONY: demo
demo: $(READY) ## Run the whole graph on the starter and a small wiki on this machine
	$(BIN)/styledag demo

.PHONY: ui
ui: $(READY) ## Open the web UI on the same history, with the demo's wiki beside it
	$(BIN)/styledag ui

.PHONY: test
test: $(READY) lint ## Lint, then run every test that needs no GPU and less than minutes, on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: $(READY) ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow

.PHONY: test-cuda
test-cuda: $(READY) ## Run the tests marked gpu on a device that the processor pretends to be; needs g++
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.pretended_cuda pytest -m gpu -k "not compiled"

.PHONY: test-mps
test-mps: $(READY) ## The same on one that has no float64, as Apple's GPUs have none
	PRETENDED_WITHOUT_FLOAT64=1 OMP_NUM_THREADS=1 $(BIN)/python -m tools.pretended_cuda pytest -m gpu -k "not compiled and not flux2_klein and not slerp"

.PHONY: test-wiki
test-wiki: $(READY) ## Run the tests against a real MediaWiki; needs Debian's packages, and names them
	$(BIN)/python -m pytest -m slow styledag_tests/collect/test_real_wiki.py

.PHONY: fuzz
fuzz: $(READY) ## Fuzz what reads the web, sidecars and image files for ten minutes, guided by coverage
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=2.3'
	$(BIN)/python -m tools.fuzz --seconds 600

.PHONY: bench-gpu
bench-gpu: $(READY) ## Write docs/performance.md in nine minutes, or add PARTS such as "encoding training warm"; PEER is diffusers' script
	$(BIN)/python -m benchmarks.card $(PARTS) $(if $(PEER),--peer $(PEER)) --json build/card.json

.PHONY: lint
lint: $(READY) ## ruff, mypy and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: starter
starter: $(READY) ## Train the starter anew, for hours on a CPU; needs npm; resumes where it stopped; STARTER adds options
	$(BIN)/python -m tools.starter.train --work .starter $(STARTER)
	$(BIN)/python -m tools.starter.assemble --work .starter $(STARTER) --out data/starter

.PHONY: starter-eval
starter-eval: $(READY) ## Measure the starter on what it has never seen, and write its cards
	$(BIN)/python -m tools.starter.evaluate --work .starter --starter data/starter \
		--judge styledag_tests/tools/starter/judge-of-subjects.safetensors

.PHONY: audit
audit: $(READY) ## Compare what is pinned with the known advisories
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
	$(BIN)/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip

.PHONY: schema
schema: $(READY) ## Write the style file's JSON schema anew
	$(BIN)/styledag schema > data/styles/style.schema.json

.PHONY: readme
readme: $(READY) ## Write README's table of assets anew
	$(BIN)/python -m tools.assets_table README.md

.PHONY: screenshots
screenshots: $(READY) ## Make the docs' images of the web UI anew; needs Debian's chromium
	$(BIN)/python -m styledag_tests.whole.screenshots docs/images

.PHONY: lock
lock: ## Pin the newest versions that the ranges allow
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet 'torch==2.13.0'
	build/lock/bin/python -m pip install --quiet --editable '.[demo,ui,lora,tensorboard,bom,dev]'
	{ sed -n '/^#/p' requirements.lock; \
	  build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; \
	} > build/requirements.lock && mv build/requirements.lock requirements.lock

.PHONY: clean
clean: ## Remove the virtual environment and caches; artifacts under data/ stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .mypy_cache
