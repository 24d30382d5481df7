# make train   train the default experiment (EXPERIMENT=iris for another, ARGS="--seed 1" for more)
# make test    run every test
# make setup   what both need: libngspice, a virtual environment, the package; done once
# make fresh   make train and make test in new systems of Debian 12, Debian 13 and Ubuntu 24.04, as root (SYSTEMS=debian-13 for one)
# make campaigns   kills, damaged files and start-up files, for hours (ARGS="--help" for parts of it)
# make lint    style and types;  make bench  speed of the shipped experiments (harness benchmark), in under 3 minutes
# make netlists   rebuild the reference netlists
# make docs    build the site of docs/ into build/site;  make pictures  make the pictures of docs/ and README anew
#              (ARGS=board for some), by the commands in tests/page_pictures.py
# make figures   write the tables of docs/pages/findings.md from the recorded figures (harness reproduce --record)

PYTHON ?= python3
EXPERIMENT ?= digits
ARGS ?=
SYSTEMS ?=
BIN := .venv/bin
STAMP := .venv/.set-up

.PHONY: setup train test fresh campaigns lint bench netlists docs pictures figures clean

setup: $(STAMP)

$(STAMP): pyproject.toml Makefile .ci/setup
	@PYTHON="$(PYTHON)" sh .ci/setup
	@touch $@

train: $(STAMP)
	@$(BIN)/harness train $(EXPERIMENT) $(ARGS)

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

fresh:
	@.ci/fresh $(SYSTEMS)

campaigns: $(STAMP)
	@$(BIN)/python -m tests.campaigns $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/harness benchmark $(ARGS)

netlists: $(STAMP)
	@$(BIN)/python netlists/rebuild.py

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(or $(ARGS),build -q) -f docs/mkdocs.yml

pictures: $(STAMP)
	@$(BIN)/python -m tests.page_pictures $(ARGS)
	@$(BIN)/python -m tests.notebook

figures: $(STAMP)
	@$(BIN)/python -m tests.page_figures

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
