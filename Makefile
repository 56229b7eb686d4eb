# Everything here asks nothing, does nothing twice, and needs the network the first time only.
# Names are relative throughout: make cannot cope with a blank in a path, and a checkout may lie below one.

PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help install demo test soak bench lint docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

install: ## install what is missing
	@.ci/bootstrap

demo: install ## run the demo scenario: an application from the internet to its database and out again
	@./mininetes run scenarios/guestbook

test: install ## run all tests, as this user and, where this is root, as an ordinary user too
	@.ci/run-tests

soak: install ## random changes under traffic for SOAK_SECONDS (default 600), then clusters killed
	@$(PYTHON) tests/soak.py

bench: install ## measure and print, with the same measurement of stock Mininet beside it
	@$(PYTHON) -m bench
	@$(PYTHON) -m bench.tracing

lint: install ## ruff, mypy and the layers of imports
	@.venv/bin/ruff check emulator controllers tests bench
	@.venv/bin/ruff format --check emulator controllers tests bench
	@.venv/bin/mypy
	@.venv/bin/lint-imports

docs: install ## write the pages that come from the code
	@$(PYTHON) -m controllers.pipeline.document > docs/pipeline.md
	@$(PYTHON) -m emulator.cli.reference > docs/cli.md
	@$(PYTHON) -m emulator.workloads.catalogue > docs/images.md
	@$(PYTHON) -m tests.system.diagnose.document > docs/diagnose.md
	@$(PYTHON) -m emulator.cluster.faults.document > docs/faults.md

clean: ## remove what the other targets made
	@rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
