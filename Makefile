# make book | make test | make help. Everything runs in .venv, which the first target that needs it sets up.
# To use an environment of your own (conda, a container): make book PY=python

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
PY ?= .venv/bin/python
CHAPTERS ?=
STUDIES ?=
N ?= 20
UV ?= uv==0.13.9
PROFILE ?= book
REMOTE ?= origin
DRY_RUN ?=
WRONG := , this book needs 3.11: conda env create -f environment.yml, or make without PY
OMP_WAIT_POLICY ?= PASSIVE
export PROFILE OMP_WAIT_POLICY
# The stamp's name says what is installed and where: the pins, the project and the folder.
READY := .venv/.ready-$(shell (pwd; cat requirements.txt pyproject.toml) | cksum | tr ' ' '-')

.PHONY: help env book prepare none-skipped test test-all unit notebooks browser-test pdf publish refresh experiments verify benchmark lint clean distclean
.DEFAULT_GOAL := help

help:  ## this list
	@echo "make TARGET [PROFILE=book|smoke] [PY=python to use your own environment]"
	@sed -n 's/^\([a-z-]*\):.*##  */  \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'
	@echo
	@echo "One chapter with other parameters:  .venv/bin/papermill notebooks/NAME.ipynb NAME_rerun.ipynb -p profile smoke -p seed 1"
	@echo "One chapter against its outputs:    .venv/bin/pytest --nbval notebooks/NAME.ipynb"

env: $(if $(filter .venv/bin/python,$(PY)),$(READY))  ## set up .venv from requirements.txt (every other target does this by itself)
	@$(PY) -c 'import sys; v = "{}.{}".format(*sys.version_info); v == "3.11" or sys.exit("$(PY) is Python " + v + "$(WRONG)")'

# What many processes import, compiled once: where PYTHONDONTWRITEBYTECODE is set, each would compile it again.
COMPILED := accelerate, ipykernel.kernelapp, jupyter_book.cli.main, matplotlib.pyplot, myst_nb, pandas, papermill, \
	plotly.graph_objects, pytest, scipy.optimize, seaborn, sentencepiece, sympy, torch._dynamo, torchaudio, \
	transformers.models.m2m_100.modeling_m2m_100

# While it is written, _build/.installing says so: an environment that was interrupted then is made anew. A download that
# fails leaves the previous one whole. uv is twice as fast; where it does not find the packages, pip does with its settings.
define INSTALL
set -euo pipefail
if [ -z "$(PYTHON)" ]; then
	echo "Python 3.11 was not found. Install it, then run make again:"
	echo "  Debian, Ubuntu: apt-get install python3.11 python3.11-venv     macOS: brew install python@3.11"
	echo "  conda: conda env create -f environment.yml, activate it, then make book PY=python"
	echo "or say where it is: make book PYTHON=/path/to/python3.11"
	exit 1
fi
version=$$($(PYTHON) -c 'import sys; print("{}.{}".format(*sys.version_info))')
if [ "$$version" != 3.11 ]; then
	echo "$(PYTHON) is Python $$version, the pins are for 3.11: make PYTHON=/path/to/python3.11"; exit 1
fi
mkdir -p _build
clear=
if [ -e _build/.installing ]; then
	echo "The last installation was interrupted: starting it again."; clear=--clear
elif [ -e .venv ] && [ ! -e .venv/pyvenv.cfg ]; then
	echo ".venv is no virtual environment and was left as it is: move it away, then run make again."; exit 1
fi
touch _build/.installing
$(PYTHON) -m venv $$clear .venv || { echo "This Python lacks the venv module. Debian, Ubuntu: apt-get install python3.11-venv"; exit 1; }
echo "Installing the packages of requirements.txt into .venv (3 GB the first time)"
pip() { .venv/bin/python -m pip --disable-pip-version-check install --no-compile "$$@"; }
failed() { rm -f _build/.installing; echo "Nothing was lost: run make again once this is solved (a connection? disk space?)."; exit 1; }
pip --quiet "$(UV)" && .venv/bin/uv pip install --python .venv --require-hashes --requirement requirements.txt \
	|| pip --require-hashes --requirement requirements.txt || failed
pip --quiet --no-deps --no-build-isolation --editable . || failed
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -W ignore -c "import $(COMPILED)" 2>/dev/null || true
rm -f .venv/.ready-*
touch $(READY)
rm _build/.installing
endef
export INSTALL

$(READY):
	@bash -c "$$INSTALL"

book: env  ## data, training, every chapter, the site in _build/html; repeats only what changed (PROFILE=smoke: a quick one)
	@$(PY) book/tasks.py book

prepare: env  ## only the data, the features and the training runs that the chapters read
	@$(PY) book/tasks.py prepare

# Every stage adds what it skips to this file; the last lines that are printed are its.
SKIPPED := _build/skipped.txt
STAGES := none-skipped prepare unit notebooks browser-test

define TELL_SKIPPED
@if [ -s $(SKIPPED) ]; then echo "$$(grep -c . $(SKIPPED)) skipped:"; cat $(SKIPPED); else echo "Nothing was skipped."; fi
@rm $(SKIPPED)
endef

none-skipped:
	@mkdir -p $(dir $(SKIPPED)) && : > $(SKIPPED)

test: $(STAGES)  ## unit tests, every chapter against its committed outputs, every page in Chromium if it is there
	$(TELL_SKIPPED)

test-all: $(STAGES)  ## and what takes minutes or much memory: several processes, towers of full size
	@$(PY) -m pytest -m slow
	$(TELL_SKIPPED)

unit: env  ## only the unit tests
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

notebooks: env  ## only the chapters (pytest --nbval); those that `make book` has executed without a kernel
	@$(PY) -m pytest --nbval --kept

browser-test: env  ## every page of the site in Chromium: of _build/html, else of the committed chapters
	@if ! $(PY) book/pdf.py --can; then \
		echo "The pages were not tried in a browser."; \
		[ ! -e $(SKIPPED) ] || echo "The pages were not tried in a browser: Chromium or playwright is missing" >> $(SKIPPED); \
	elif [ -e _build/html/.built ]; then \
		$(PY) -m pytest -n 2 -m "browser and not slow" tests/browser tests/book/test_search_page.py tests/book/test_live_encoder.py; \
	else \
		$(PY) book/tasks.py site && ATRI_SITE=_build/committed $(PY) -m pytest -n 2 -m "browser and not slow" tests/browser tests/book/test_search_page.py tests/book/test_live_encoder.py; \
	fi

pdf: env  ## the whole book as one PDF, from the site in _build/html, by Chromium
	@$(PY) book/pdf.py

publish: env  ## put the site in _build/html on the branch gh-pages of REMOTE=origin (DRY_RUN=1: only rehearse the push)
	@[ -e _build/html/.built ] || { echo "_build/html holds no finished book: make book"; exit 1; }
	@git ls-remote --quiet $(REMOTE) >/dev/null 2>&1 || \
		{ echo "REMOTE=$(REMOTE) cannot be read: git remote add $(REMOTE) ADDRESS, or make publish REMOTE=ADDRESS"; exit 1; }
	@ATRI_SITE=_build/html $(PY) -m pytest -q -m browser tests/browser/test_files.py
	@$(PY) -m ghp_import --no-jekyll --no-history --force --branch gh-pages --message "The site" _build/html
	@git push --force $(if $(DRY_RUN),--dry-run) $(REMOTE) gh-pages:gh-pages
	@echo "$(if $(DRY_RUN),Rehearsed: nothing was pushed. Without DRY_RUN the site goes,The site went) to gh-pages of $(REMOTE)."

refresh: env  ## execute the committed chapters in place (CHAPTERS="01_one_sound_eight_queries ..." for some), then check all
	@$(PY) book/tasks.py refresh $(CHAPTERS); code=$$?; $(PY) -m pytest -q tests/test_book.py -k fit_to_publish && exit $$code

experiments: env  ## train what studies/rows lacks, two runs at once (STUDIES="dose_16 ..." for some): five hours for all of them
	@$(PY) -m studies $(STUDIES)

verify: env  ## train N=20 stored runs again, chosen by chance, and compare them with what is stored (a minute for two)
	@$(PY) -m studies --verify $(N)

benchmark: env  ## on an idle machine: speed against limits and references, then the seconds that chapters quote (five minutes)
	@OMP_WAIT_POLICY=ACTIVE $(PY) tests/benchmarks/ratios.py  # one training alone: see the README
	@$(PY) tests/benchmarks/seconds.py

lint: env  ## ruff over library, book and tests
	@$(PY) -m ruff check atri_lib book studies tests conftest.py

clean:  ## remove _build and caches of the test tools (cache and .cache/executed stay)
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

distclean: clean  ## also remove .venv and the executed chapters in .cache
	rm -rf .venv .cache
