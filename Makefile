# make        set up an isolated environment and run the full bundled study
# make test   set up and pass the tests
# make setup  set up only
.DEFAULT_GOAL := study
.PHONY: setup study test lint lock schema clean help
.DELETE_ON_ERROR:

VENV ?= .venv
READY := $(VENV)/.installed
IN_ENVIRONMENT := PATH="$(abspath $(VENV))/bin:$$PATH"

study: $(READY)  ## run the studies listed in config/config.yaml
	@$(IN_ENVIRONMENT) snakemake

setup: $(READY)  ## set up the environment and run nothing

test: $(READY)  ## run all tests, style checks included
	@$(IN_ENVIRONMENT) python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## style checks only
	@$(IN_ENVIRONMENT) python -m pytest tests/test_style.py

# The environment is made whole or not at all: the mark of success is written last.
$(READY): requirements.lock
	@python=$$(./.ci/find-python) && echo "Setting up $(VENV) with $$python (a few minutes, once)" \
	  && rm -rf "$(VENV)" && "$$python" -m venv "$(VENV)" \
	  && "$(VENV)/bin/python" -m pip install -qq --disable-pip-version-check \
	     --require-hashes --no-deps -r requirements.lock \
	  && touch "$(READY)"

lock: $(READY)  ## renew requirements.lock from pyproject.toml (for maintainers; needs uv)
	@uv pip compile --quiet pyproject.toml --group test --universal --python-version 3.12 \
	  --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -o requirements.lock

schema: $(READY)  ## renew what is generated from the typed model of a study file
	@$(IN_ENVIRONMENT) python scripts/write_schema.py

clean:  ## remove results and the environment
	rm -rf "$(VENV)" .snakemake .pytest_cache .ruff_cache
	find results -mindepth 1 ! -name README.md -delete

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/'
