PYTHON ?= python3
BIN := .venv/bin
DEMO := build/demo

.PHONY: help install demo test test-slow test-large test-backends faults lint docs speed gpu

help:            ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

install: .venv/installed  ## Install the package and its tools into .venv

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "Installing what developers need into .venv: about 4 GB, a few minutes"
	$(BIN)/pip install --editable '.[dev]'
	touch $@ .venv/demo

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "Installing TensorFlow, Keras and this package into .venv: 2.7 GB, a few minutes"
	$(BIN)/pip install --editable '.[figures]'
	touch $@

demo: .venv/demo  ## Train CoordConv and ordinary convolution, print the table, draw their errors
	$(BIN)/not-so-clevr train coordconv --task regression --config quadrant --runs $(DEMO) --resume
	$(BIN)/not-so-clevr train conv --task regression --config quadrant --runs $(DEMO) --resume
	$(BIN)/not-so-clevr leaderboard $(DEMO)
	$(BIN)/not-so-clevr report $(DEMO) --output $(DEMO)/report.html --figures $(DEMO)/figures
	@echo "The picture of their errors is $(DEMO)/figures/errors-regression-quadrant.png"

test: install    ## Run the tests: about 6 minutes on 2 cores
	$(BIN)/pytest -n 2 --dist loadfile

test-slow: install  ## Run those with Ray, Beam, other backends, the site, chromium, LaTeX, kills
	$(BIN)/pytest -n 2 --dist loadfile -m slow

test-large: install  ## Run the large tests: minutes, 8 GB of memory
	$(BIN)/pytest -m large

test-backends: install  ## Run the tests with PyTorch as another backend
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pytest -n 2 --dist loadfile -m 'not large'

faults: install  ## Make deliberate faults in copies, and name the test that notices each
	$(BIN)/python tests/faults/run.py

lint: install    ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy docs/board.py docs/commands.py docs/data.py docs/drawings.py docs/generate.py docs/gpu.py docs/hooks.py docs/narrow.py docs/notebooks.py docs/scaling.py docs/values.py

docs: install    ## Check the numbers in the pages, and build the site: site/index.html
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

speed: install   ## Measure speed, and print the tables of docs/speed.md
	mkdir -p .benchmarks
	$(BIN)/pytest tests/speed -o addopts= --benchmark-quiet --benchmark-json=.benchmarks/speed.json
	$(BIN)/python tests/speed/table.py .benchmarks/speed.json

gpu: install     ## Measure on a GPU, and write docs/gpu.json and docs/gpu.md
	$(BIN)/python tests/gpu/run
	$(BIN)/python docs/generate.py
