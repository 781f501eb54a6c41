# Everything happens in .venv, which the first target that needs it makes.
.PHONY: install run test test-recipes test-recipes-whole test-beanie2 beanie-suite check coverage fuzz migrate faults bench lock

PYTHON ?= python3
BIN := .venv/bin
ON_ALL_CORES := -n auto --dist loadfile

# A shell may have it set, as images of containers do. The tests start Python hundreds of times: each of them would
# compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

install: .venv/installed

run: .venv/installed
	$(BIN)/students-api serve

# All tests but those of the recipes in docs/extending.md, in copies of the project, which come next.
test: .venv/installed
	$(BIN)/python -m pytest -m 'not recipes' $(ON_ALL_CORES)

test-recipes: .venv/installed
	$(BIN)/python -m pytest -m recipes $(ON_ALL_CORES)

# The tests on a real MongoDB once more, with Beanie 2 and PyMongo Async in the place of Beanie 1.30 and Motor; but for
# those that have nothing to do with either.
test-beanie2: .venv/installed .beanie2/installed
	PYTHONPATH='$(CURDIR)/.beanie2' $(BIN)/python -m pytest -m 'mongod and not any_driver' $(ON_ALL_CORES)

# Beanie's own tests, of the version that is installed, with this project's documents; takes about eight minutes.
beanie-suite: .venv/installed
	PYTHONPATH='$(CURDIR)' $(BIN)/python tests/beanie_suite.py

# The whole suite on a real MongoDB with each recipe of docs/extending.md; takes about 45 minutes.
test-recipes-whole: .venv/installed
	$(BIN)/python -m pytest tests/test_recipes.py --whole -k all_others_pass

# The tests again, and which lines none of them runs; takes half as long again.
coverage: .venv/installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ON_ALL_CORES)
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

# What a request costs, beside other servers, and what cores, memory and time the service takes; about twenty minutes.
bench: .venv/installed .beanie2/installed
	@if command -v npm >/dev/null; then npm ci --prefix benchmarks/servers/express --silent --no-audit --no-fund; \
		else echo 'Without Node.js, Express is left out.'; fi
	$(BIN)/python -m benchmarks.speed --write
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.footprint

# The newest versions that pyproject.toml allows, for every platform and Python version that it allows.
lock: .venv/installed
	$(BIN)/uv pip compile -q --universal --generate-hashes --all-extras --upgrade --no-header \
		--python-version 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-deps --upgrade --no-header \
		--python-version 3.11 --group beanie2 -o requirements-beanie2.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@echo 'Installing into .venv; the first time takes a minute or two.'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Beanie 2 and what it needs that is not in .venv. It stands before .venv on Python's path.
.beanie2/installed: requirements-beanie2.lock | .venv/installed
	rm -rf .beanie2
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps --target .beanie2 \
		-r requirements-beanie2.lock
	touch $@
