# Each target sets up what it needs in .venv; nothing else has to be run first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_FOR_DOCS := $(VENV)/.ready-for-docs
JOBS ?= 2
# Modules are compiled when they are first imported, and kept so: most never are.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt

.PHONY: setup demo test lint page check-page docs bench wheel-test clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile "$$(grep '^torch==' constraints.txt)"
	$(PIP) --editable ".[dev]"
	# It asks for opencv-python, whose files would overwrite those of opencv-python-headless: taken without dependencies.
	$(PIP) --no-deps "$$(grep '^vos-benchmark==' constraints.txt)"
	touch $(READY)

demo: $(READY)
	$(BIN)/rotoscope demo --output demo-out

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

# The page is built from web/ into the package and committed there, so that users need no Node.
page:
	cd web && npm ci --silent && npm run --silent build

check-page:
	@if ! command -v npm > /dev/null; then \
		echo "No Node here: whether the page in the package is that of web/ is left out (apt-get install nodejs npm)."; \
	elif ! (cd web && npm ci --silent); then \
		echo "The page's tools could not be had: whether the page in the package is that of web/ is left out."; \
	else cd web && npx tsc && npx vite build --logLevel warn --outDir ../build/page \
		&& diff -r ../build/page ../src/rotoscope/app/page && echo "The page in the package is that of web/."; fi

# Two processes of one thread each; a file's tests stay together, as they share what is slow to make. Files go in order of
# their names: by number of tests, as is usual, the files of few and long tests would come last, with one process idle.
# Where a process ends in the middle of a test, the rest would wait for it for ever: no further one is begun, and the run
# fails. Ray's tests have one of their own, as Ray takes away what prints where a process crashed.
CLUSTERS := tests/batches/test_clusters.py

test: lint
	@command -v "$${CHROMIUM:-chromium}" > /dev/null || echo "No Chromium here: tests/app/test_page.py is left out" \
		"(apt-get install chromium, or CHROMIUM=its path)."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore $(CLUSTERS) --numprocesses $(JOBS) --dist loadfile \
		--no-loadscope-reorder --max-worker-restart 0
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(CLUSTERS)

$(READY_FOR_DOCS): $(READY)
	$(PIP) --editable ".[docs]"
	touch $(READY_FOR_DOCS)

# The documentation site, in build/site; a link that leads nowhere stops it.
docs: $(READY_FOR_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

# Wheel and source archive of the commit that is checked out, and the wheel in an empty environment.
wheel-test: $(READY)
	$(BIN)/python benchmarks/wheel_test.py

clean:
	rm -rf $(VENV) demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
