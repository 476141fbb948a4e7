# What a developer does. Each target sets the environment up first; it does nothing where nothing changed.
PYTHON = "$(CURDIR)/.venv/bin/python"

.PHONY: setup test coverage lint docs reliability bench bench-trainings constraints

setup: ## make or repair .venv with the test tools
	bash .venv-setup.sh test --version

test: ## the whole suite
	bash .venv-setup.sh test

coverage: setup ## the suite with branch coverage and its floor
	$(PYTHON) -m pytest -n auto --cov --cov-report=term:skip-covered

lint: setup ## style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

docs: setup ## every generated page; the suite fails where one is not fresh
	$(PYTHON) docs/make_pages.py
	$(PYTHON) docs/make_schemas.py
	$(PYTHON) docs/make_diagnoses.py
	$(PYTHON) docs/make_limits.py
	$(PYTHON) docs/make_forecast.py
	$(PYTHON) docs/gallery/make.py

reliability: setup ## faults, damage and kills in figures: docs/reliability.md; minutes
	PYTHONPATH=scripts:tests $(PYTHON) tests/reliability.py

bench: setup ## the benchmarks that need no network; minutes
	$(PYTHON) -m benchmarks.diagnoses --seed 1
	$(PYTHON) -m benchmarks.forecast --seed 1
	$(PYTHON) benchmarks/startup.py
	$(PYTHON) benchmarks/local_reading.py
	$(PYTHON) benchmarks/large_local.py
	$(PYTHON) benchmarks/plots.py
	$(PYTHON) benchmarks/server.py

TRAININGS = "$${XDG_CACHE_HOME:-$$HOME/.cache}/wandb-toolkit-benchmarks"
bench-trainings: ## train healthy and faulty runs with real frameworks on CPU, judge them beside other tools; many minutes
	python3 -m venv $(TRAININGS)/frameworks && $(TRAININGS)/frameworks/bin/pip install -q -e '.[benchmarks]'
	python3 -m venv $(TRAININGS)/peers && $(TRAININGS)/peers/bin/pip install -q -r benchmarks/trainings/peers.txt
	$(TRAININGS)/frameworks/bin/python -m benchmarks.trainings.make
	$(TRAININGS)/frameworks/bin/python -m benchmarks.trainings --alone --peers $(TRAININGS)/peers/bin/python

constraints: setup ## pin what is installed now for CI, and lock the files' hashes (needs uv)
	$(PYTHON) tests/pin.py
