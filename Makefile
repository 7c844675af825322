# make demo: the four scripts on the bundled sample, offline, a check that they learned, a table, a map and a trajectory.
# make test: lint and tests.
# make results: the report of the measured runs again, from their records, and which planned runs are missing.
# make bench: how fast everything is, beside the published recipe and the plain Trainer, in an hour. It writes docs/benchmarks.md.
# make faults: what goes wrong around a run, done to it, as a table.   make audit: known vulnerabilities of the pins.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
ENCODER := sentence-transformers/all-MiniLM-L6-v2
DATA := --model_name $(ENCODER) --data_source sample
TRAINING := $(DATA) --learning_rate 1e-4 --head_learning_rate 1e-2 --pooling mean --label_smoothing 0.1
RUNS := demo/ESConv-sample/$(notdir $(ENCODER))

# What make bench measures: the real corpora, where ARTIFICIAL_PAIN_CORPORA names a folder with them, else the sample.
CORPORA := $(ARTIFICIAL_PAIN_CORPORA)
SAD := $(if $(CORPORA),$(CORPORA)/SAD_v1.zip,sample)
ESCONV := $(if $(CORPORA),$(CORPORA)/ESConv.json,sample)

.PHONY: demo test lint faults audit bench results

demo: .venv/installed
	$(VENV)/python classification/classification-dataloader.py $(DATA) --output_dir classification/demo
	$(VENV)/python classification/classification-model.py $(TRAINING) --output_dir classification/demo --epochs 3
	$(VENV)/python intensity/intensity-dataloader.py $(DATA) --output_dir intensity/demo
	$(VENV)/python intensity/intensity-model.py $(TRAINING) --output_dir intensity/demo --epochs 4 --warmup_steps 20 \
		--regressor_init mean --regressor_outputs shared
	$(VENV)/python -m pytest --noconftest --override-ini addopts= --quiet tests/demo.py
	$(VENV)/python -m artificial_pain.compare classification/$(RUNS)/loss-classification \
		intensity/$(RUNS)/accuracy-4-heads-intensity-change
	$(VENV)/python -m artificial_pain.represent intensity/$(RUNS)/accuracy-4-heads-intensity-change --map \
		--output intensity/demo/representations.md
	$(VENV)/python -m artificial_pain.trajectory intensity/$(RUNS)/accuracy-4-heads-intensity-change --dialogue 0 \
		--output intensity/demo/trajectory.png

test: lint
	OMP_NUM_THREADS=1 $(VENV)/python -m pytest --numprocesses 2 --dist loadgroup

faults: .venv/installed
	OMP_NUM_THREADS=1 $(VENV)/python -m pytest --numprocesses 2 --faults

bench: .venv/installed
	PYTHONPATH=.:tests:tests/support $(VENV)/python tests/benchmarks/bench.py --model_name $(ENCODER) --output_dir classification/bench \
		--SAD $(SAD) --ESConv $(ESCONV)

results: .venv/installed
	$(VENV)/python -m artificial_pain.report docs/records/ESConv.parquet docs/records/SAD.parquet --plan docs/records/plan.txt --output docs/report.md

audit: .venv/installed
	$(VENV)/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(VENV)/pip-audit --disable-pip --no-deps --strict -r requirements.txt

lint: .venv/installed
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

# Rebuilt whenever the pins change. A failed installation leaves no .venv/installed behind and is done again.
.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv --clear .venv
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(VENV)/pip install --quiet --disable-pip-version-check --no-deps sweeps==0.3.0  # its schema alone: its code is of numpy 1
	touch $@
