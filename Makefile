# One command each; CI runs the very same. Everything lives in .venv, nothing is installed outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
READY := $(VENV)/.ready
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
REPORTS ?= reports
# Where torch's CPU build comes from, where pip would take another: the index that PyTorch's installation page names for CPU.
TORCH_INDEX ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format quick bench docs clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The constraints file pins the tested versions; the package's own metadata keeps lower bounds. Torch's CPU build is enough.
# What the main job needs comes first, so that the demo does not wait for the tools of the developers.
$(BASE): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(INSTALL) --editable '.[opt,lm]'
	@touch $@

$(READY): $(BASE)
	$(INSTALL) --editable '.[dev]'
	@touch $@

setup: $(READY)  ## build the whole environment in .venv

# One of the five relation pairs on a pretrained language model, two runs of it: enough to see, not to decide.
ONE_PAIR = --set language-model.pairs=city-language --set language-model.doses=false

demo: $(BASE)  ## the main job: re-run the core paper, print its verdicts, leave a report
	$(BIN)/assay store init
	$(BIN)/assay models add smollm2-135m
	$(BIN)/assay run out-of-context-reasoning --experiment symbolic --on processes
	$(BIN)/assay run out-of-context-reasoning --experiment language-model $(ONE_PAIR) --runs 2 --on processes
	$(BIN)/assay report out-of-context-reasoning $(ONE_PAIR) --out $(REPORTS)

test: setup  ## the whole test suite
	$(BIN)/python -m pytest -n 2

check: setup  ## format, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

format: setup  ## put the source into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

quick: setup  ## every study at its quick preset: plumbing only
	$(BIN)/assay run --all --preset quick --store $(REPORTS)/quick

bench: setup  ## ratios against plain baselines, side by side
	$(BIN)/python -m benchmarks

# The pages of the atlas and of every study are made from the reference store, with the date of the commit.
docs: setup  ## the documentation site, with every study's page from the reference store
	$(INSTALL) --editable '.[docs]'
	$(BIN)/assay docs-reference > docs/cli.md
	$(BIN)/assay docs-reference --rooms > docs/rooms.md
	$(BIN)/zensical build --strict
	rm -rf build/docs-store
	ASSAY_STORE=build/docs-store $(BIN)/assay store import reference
	ASSAY_STORE=build/docs-store $(BIN)/assay report --out site/results --stamp "$$(git log -1 --format=%cs)"

clean:  ## remove the environment and everything generated; stored runs (.assay) stay
	rm -rf $(VENV) $(REPORTS) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
