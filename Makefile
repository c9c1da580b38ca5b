# make book | make test | make help. Everything runs in .venv, which the first target that needs it sets up.
# To use an environment of your own (conda, a container): make book PY=python

PROFILE ?= book
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
PY ?= .venv/bin/python
CHAPTERS ?=
UNIT = $(PY) -m pytest tests
NBVAL = --nbval --nbval-current-env --nbval-cell-timeout=1200 --nbval-kernel-startup-timeout=120
VALIDATE = $(PY) book/build.py prepare && ATRI_PROGRESS=0 ATRI_PLAYERS=0 $(PY) -m pytest $(NBVAL) notebooks/

.PHONY: help env book prepare test unit notebooks refresh lint clean distclean
.DEFAULT_GOAL := help

help:  ## this list
	@echo "make TARGET [PROFILE=book|smoke] [PY=python to use your own environment]"
	@sed -n 's/^\([a-z]*\):.*##  */  \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'
	@echo
	@echo "One chapter with other parameters:  .venv/bin/papermill notebooks/NAME.ipynb NAME_rerun.ipynb -p profile smoke -p seed 1"
	@echo "One chapter against its outputs:    .venv/bin/pytest --nbval notebooks/NAME.ipynb"

env:  ## set up .venv from requirements.txt (every other target does this by itself)
ifeq ($(PY),.venv/bin/python)
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 was not found. Install it, then run make again:"; \
		echo "  Debian, Ubuntu: apt-get install python3.11 python3.11-venv     macOS: brew install python@3.11"; \
		echo "  conda: conda env create -f environment.yml, activate it, then make book PY=python"; \
		echo "or say where it is: make book PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) book/install.py
endif

book: env  ## data, training, every chapter, the site in _build/html; repeats only what changed (PROFILE=smoke: a quick one)
	@$(PY) book/build.py book --profile $(PROFILE)

prepare: env  ## only the data, the features and the training runs that the chapters read
	@$(PY) book/build.py prepare --profile $(PROFILE)

test: env  ## the unit tests, then every chapter compared with its committed outputs
	@$(UNIT)
	@$(VALIDATE)

unit: env  ## only the unit tests
	@$(UNIT)

notebooks: env  ## only the chapters (nbval)
	@$(VALIDATE)

refresh: env  ## execute the committed chapters in place (CHAPTERS="01_one_sound_eight_queries ..." for some)
	@$(PY) book/build.py refresh $(CHAPTERS)

lint: env  ## ruff over library, book and tests
	@$(PY) -m ruff check atri_lib book tests

clean:  ## remove _build and the caches of the test tools (data and training runs stay in the user's cache)
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

distclean: clean  ## also remove .venv
	rm -rf .venv
