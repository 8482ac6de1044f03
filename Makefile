# Everything works from a bare clone; an installed .venv is not installed again.
#   make demo    float network → 2-bit network → integer TFLite file, on real images
#   make test    lint, types and tests
#   make docs    the documentation site, in site/
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES := $(wildcard tf_n2uq tests examples benchmarks tools) setup.py

.PHONY: demo test nightly arm docs fuzz lint bench bazel-check clean help

help:
	@sed -n '2,4s/^# *//p' $(MAKEFILE_LIST)
	@echo '  make lint | nightly | arm | fuzz | bench | bazel-check | clean'

demo: $(VENV)/.installed-examples
	$(BIN)/python examples/quickstart.py --resume

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not nightly and not arm'

# Whole trainings, and further published networks. The script .ci/nightly runs them and the fuzz.
nightly: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m nightly

# The demo's network and small ones on ARM64 processors, which QEMU emulates. All tests of a file run
# in one process, because they share their networks.
arm: $(VENV)/.installed-dev runs/demo/report.json
	$(BIN)/python tools/arm/packages.py
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m arm tests/arm

runs/demo/report.json:
	$(BIN)/python examples/quickstart.py --resume

# A warning is an error: a link or an anchor that leads nowhere, a page that no menu leads to.
# The variable stops a notice of mkdocs-material about its successor; see CONTRIBUTING.md.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Random networks from Keras to the file; `make test` takes 12 of them.
fuzz: $(VENV)/.installed-dev
	FUZZ_SEEDS=200 $(BIN)/python -m pytest -n $(WORKERS) tests/tflite/test_fuzz.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/convert_time.py
	$(BIN)/python benchmarks/call_chains.py
	$(BIN)/python benchmarks/quantizer_op.py
	$(BIN)/python benchmarks/first_step.py
	$(BIN)/python benchmarks/training_step.py --rounds 9
	$(BIN)/python benchmarks/adaptive_step.py --rounds 9
	$(BIN)/python benchmarks/input_pipeline.py --images 256 --rounds 5
	$(BIN)/python benchmarks/published_networks.py --rounds 3
	$(BIN)/python benchmarks/tflite.py
	$(BIN)/python benchmarks/xnnpack_operators.py
	$(BIN)/python benchmarks/micro.py

bazel-check:
	@command -v bazel >/dev/null || { echo 'bazel not found: apt install bazel-bootstrap' >&2; exit 1; }
	bazel query //...

clean:
	rm -rf $(VENV) build dist site *.egg-info runs .arm .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find tf_n2uq tests examples benchmarks tools -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# A stamp is written last, so an interrupted or failed installation is tried again.
$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-examples: $(VENV)/.created setup.py pyproject.toml
	@echo 'Installing tf_n2uq and the examples into $(VENV) (about two minutes) …'
	$(PIP) -e '.[examples]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.created setup.py pyproject.toml
	@echo 'Installing tf_n2uq and the documentation tools into $(VENV) (about two minutes) …'
	$(PIP) -e '.[docs]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created setup.py pyproject.toml
	@echo 'Installing tf_n2uq and the development tools into $(VENV) (about two minutes) …'
	$(PIP) -e '.[examples,dev]'
	$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@ $(VENV)/.installed-examples $(VENV)/.installed-docs
