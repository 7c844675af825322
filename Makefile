# make demo: both scripts of the classification task on the bundled sample, offline.   make test: lint and tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
DEMO := --model_name sentence-transformers/all-MiniLM-L6-v2 --output_dir classification/demo

.PHONY: demo test lint

demo: .venv/installed
	$(VENV)/python classification/classification-dataloader.py $(DEMO) --data_source sample
	$(VENV)/python classification/classification-model.py $(DEMO) --epochs 4 --learning_rate 1e-4 --head_learning_rate 1e-3

test: lint
	$(VENV)/python -m pytest

lint: .venv/installed
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

# Rebuilt whenever the pins change. A failed installation leaves no .venv/installed behind and is done again.
.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
