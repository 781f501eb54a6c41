# Everything happens in .venv, which the first target that needs it makes.
.PHONY: install run test check fuzz migrate faults lock

PYTHON ?= python3
BIN := .venv/bin

install: .venv/installed

run: .venv/installed
	$(BIN)/students-api serve

test: .venv/installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# What the OpenAPI document says, on 1,000 examples of each operation; `make test` takes 30.
fuzz: .venv/installed
	$(BIN)/python -m pytest tests/test_clients.py -k the_service_keeps_what_the_document_says --examples 1000

check: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

migrate: .venv/installed
	$(BIN)/students-api migrate

# What a client sees while the nodes of a replica set fail; takes about seven minutes.
faults: .venv/installed
	$(BIN)/python -m benchmarks.faults

# The newest versions that pyproject.toml allows, for every platform and Python version that it allows.
lock: .venv/installed
	$(BIN)/uv pip compile -q --universal --generate-hashes --all-extras --upgrade --no-header \
		--python-version 3.11 pyproject.toml -o requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@echo 'Installing into .venv; the first time takes a minute or two.'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
