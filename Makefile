# Two commands: `make repro` (raw dump -> evaluated, exported model and report) and `make test`.
# Both set up .venv first; both may be run again at any time.

# The first of these that runs and is 3.11 or 3.12; or say `make repro PYTHON=/path/to/python3.12`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMP := $(VENV)/installed
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.DEFAULT_GOAL := help
.PHONY: help setup repro test lint check verify verify-train bench clean

help: ## what can be asked for
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

setup: $(STAMP) ## .venv with every version that constraints.txt pins

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found"; echo "  hint: install one, or give PYTHON=/path/to/python3.12"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON): about 2 minutes and 2.5 GB the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[flow,train,dev]'
	@$(BIN)/python -m pipelines.pin
	@touch $(STAMP)

repro: $(STAMP) ## the whole flow, from raw dump to report; rebuilds only what changed
	@$(BIN)/dvc repro
	@echo
	@echo "results   data/evaluate/metrics.json   (dvc metrics show)"
	@echo "report    data/report/report.html      (open it in a browser; it needs no network)"
	@echo "model     data/export                  (AutoModelForCausalLM.from_pretrained)"
	@echo "next      source $(VENV)/bin/activate; python -m train.generate --prompt 'The city of'"

test: $(STAMP) lint check ## lint, format, types and tests
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile
	@echo "everything passed; next: make repro"

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

check: $(STAMP)
	@$(BIN)/mypy

verify: $(STAMP) ## rebuild everything in a second clone without caches and compare dvc.lock byte by byte
	@$(BIN)/python tests/verify_clone.py

verify-train: $(STAMP) ## every layout of DeepSpeed that the recipe allows, and kills, against one plain process
	@PYTHONPATH=.:tests $(BIN)/python tests/verify_train.py docs/training_matrix.md

bench: $(STAMP) ## speed, memory and quality of all that is done to text, beside the peers, on ../shared/data (hours)
	@$(BIN)/python -m bench.wikipedia
	@$(BIN)/python -m bench.speed
	@$(BIN)/python -m bench.scaling
	@$(BIN)/python -m bench.memory
	@$(BIN)/python -m bench.html
	@$(BIN)/python -m bench.cleaning
	@$(BIN)/python -m bench.cleaning_parts
	@$(BIN)/python -m bench.cleaning_memory
	@$(BIN)/python -m bench.cleaning_samples
	@$(BIN)/python -m bench.languages
	@$(BIN)/python -m bench.decontamination
	@$(BIN)/python -m bench.personal_data
	@$(BIN)/python -m bench.duplicates
	@$(BIN)/python -m bench.duplicates_scale
	@$(BIN)/python -m bench.duplicates_speed
	@$(BIN)/python -m bench.duplicates_shuffle
	@$(BIN)/python -m bench.leaks
	@$(BIN)/python -m bench.engines
	@$(BIN)/python -m bench.bpe
	@$(BIN)/python -m bench.tokenization
	@$(BIN)/python -m bench.vocabularies
	@$(BIN)/python -m bench.hostile_strings
	@$(BIN)/python -m bench.packing
	@$(BIN)/python -m bench.trace
	@$(BIN)/python -m bench.train_speed
	@$(BIN)/python -m bench.train_peers
	@$(BIN)/python -m bench.train_trace
	@$(BIN)/python -m bench.bpe_dropout
	@$(BIN)/python -m bench.train_tasks
	@$(BIN)/python -m bench.token_rows
	@$(BIN)/python -m bench.readers

clean: ## forget finished units, checkpoints and logs (artifacts and DVC's cache stay)
	rm -rf .cache logs
