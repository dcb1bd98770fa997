# Two commands do all set-up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
#
# PYTHON=python3.12   the Python to make environments with, 3.11 or newer
# MUSIC=/path         `make demo` tags this folder instead of pieces that it renders itself
# MODEL=folder        the model that `make excerpts`, `make model-report` and `make rendered` measure
# AGAINST=folder      a model before, which `make model-report` prints beside it
# SONGS=folder        song files of games that give the tempo, for `make bench`
# SHARED=../shared    the music that the bundled model is trained and measured on

PYTHON ?= python3
SHARED ?= ../shared
MUSIC ?=
MODEL ?= default

ifeq ($(OS),Windows_NT)
  BIN := Scripts
else
  BIN := bin
endif
DEV := .venv
PLAIN := .venv-plain
PY := $(DEV)/$(BIN)/python
PIP := -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup parts demo test slow golden picture check fmt bench excerpts model heads model-report rendered estimates clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

setup: $(DEV)/ready parts  ## everything for development, pinned, into .venv; and the page's parts from npm

parts:  ## the page's parts from npm, at pinned versions
	@$(PYTHON) src/earmark/server/npm.py

demo: $(PLAIN)/ready  ## tag a dozen short pieces rendered here, or your own: make demo MUSIC=/path
	@$(PLAIN)/$(BIN)/python demo/run.py $(if $(MUSIC),"$(MUSIC)")

test: $(DEV)/ready parts  ## the tests
	$(PY) -m pytest -n 2

slow: $(DEV)/ready parts  ## the tests that take minutes
	$(PY) -m pytest -m slow

golden: $(DEV)/ready  ## record anew what every verb answers, where a difference is meant
	$(PY) tests/record.py tests/golden

picture: $(DEV)/ready parts  ## take the README's picture of the page anew (needs Chromium)
	$(PY) demo/picture.py

check: $(DEV)/ready  ## format, lint, types, direction of imports
	$(DEV)/$(BIN)/ruff format --check .
	$(DEV)/$(BIN)/ruff check .
	$(PY) -m mypy
	$(DEV)/$(BIN)/lint-imports

fmt: $(DEV)/ready  ## put the code in form
	$(DEV)/$(BIN)/ruff check --fix .
	$(DEV)/$(BIN)/ruff format .

bench: $(DEV)/ready  ## measure speed, memory and size; writes docs/bench.md, -training, -library, -server, -features
	$(PY) bench/run.py --shared "$(SHARED)"
	$(PY) bench/training.py "$(SHARED)/data/emotify400"
	$(PY) bench/library.py --music "$(SHARED)/data/moods900/audio" | tee docs/bench-library.md
	$(PY) bench/server.py --music "$(SHARED)/data/moods900/audio" | tee docs/bench-server.md
	$(PY) bench/features.py --shared "$(SHARED)" $(if $(SONGS),--songs "$(SONGS)")

excerpts: $(DEV)/ready  ## compare plans of excerpts; MODEL=folder
	$(PY) bench/excerpts.py --shared "$(SHARED)" -m "$(MODEL)"

model: $(DEV)/ready  ## train the bundled model again (hours)
	$(PY) -m scripts.bundled.model --shared "$(SHARED)"

heads: $(DEV)/ready  ## make the heads of the bundled model again, on the backbone that is there
	$(PY) -m scripts.bundled.model --shared "$(SHARED)" --heads

model-report: $(DEV)/ready  ## what the bundled model scores, beside published ones
	$(PY) -m scripts.bundled.report --shared "$(SHARED)" -m "$(MODEL)" $(if $(AGAINST),--against "$(AGAINST)")

rendered: $(DEV)/ready  ## how well taggers and the model's heads know instruments, on pieces rendered by fluidsynth
	$(PY) -m scripts.bundled.rendered --shared "$(SHARED)" -m "$(MODEL)"

estimates: $(DEV)/ready  ## make the estimated features (danceability, ...) anew, and how good each is
	$(PY) -m scripts.bundled.estimates --shared "$(SHARED)"

clean:  ## remove the environments and what tools left behind
	rm -rf $(DEV) $(PLAIN) demo-out build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(DEV)/ready: pyproject.toml constraints.txt
	$(call environment,$(DEV))
	$(DEV)/$(BIN)/python $(PIP) install -q -c constraints.txt -e '.[all]' --group dev
	@touch $@

$(PLAIN)/ready: pyproject.toml constraints.txt
	$(call environment,$(PLAIN))
	$(PLAIN)/$(BIN)/python $(PIP) install -q -c constraints.txt -e .
	@touch $@

define environment
	@$(PYTHON) -c "import sys; sys.exit('Earmark needs Python 3.11 or newer, as in: make PYTHON=python3.12' if sys.version_info < (3, 11) else 0)"
	@echo "setting up $(1): once, a few minutes"
	$(PYTHON) -m venv $(1)
	$(1)/$(BIN)/python $(PIP) install -q -c constraints.txt pip
endef
