# make lab opens the lessons, make test runs every test. Each first sets up what it needs, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

# Threads of torch that have nothing to do sleep, they do not spin: beside a browser or a second run on two cores,
# lessons and tests take down to a third of the time. Alone it costs about a tenth, so benchmarks go without.
lab quick test gate test-matrix fuzz notebooks page slides site: export OMP_WAIT_POLICY ?= passive

# A container has no screen and often only root; JupyterLab then prints its address and may run.
LAB_FLAGS := --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb --KernelManager.transport_encryption=auto
ifeq ($(shell id -u),0)
LAB_FLAGS += --allow-root
endif
ifeq ($(shell uname -s)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
LAB_FLAGS += --no-browser
endif

# The older transformers that people still run, in an environment of its own.
OLD        := 4.57
VENV_OLD   := $(VENV)-$(OLD)
OLD_TESTS  := $(addprefix tests/unit/test_,conventions.py describe.py facts.py influence.py story_gpt2.py bert_table.py) \
              tests/unit/test_properties.py::test_hf tests/unit/test_properties.py::test_hf_with_a_cache

.PHONY: help lab quick test gate check test-matrix fuzz bench notebooks page slides site publish lint models browser clean
.DEFAULT_GOAL := help

help:
	@echo "make lab          open the lessons in JupyterLab"
	@echo "make quick        run the tests that need neither a browser nor a lesson, about a minute"
	@echo "make test         run the tests, about six minutes on two cores (ARGS='-k masks' for some of them)"
	@echo "make check        run all there is: style, tests, those that take long, an older transformers"
	@echo "make gate         only the tests that take long, which make check adds to those of make test"
	@echo "make test-matrix  run the tests about masks again, under transformers $(OLD)"
	@echo "make fuzz         the property tests with 20,000 examples each, about half an hour"
	@echo "make notebooks    execute the lessons in notebooks/src and write their notebooks"
	@echo "make site         build the whole site, with search and downloads"
	@echo "make page         write lessons as self-contained files (LESSON=03 for one of them)"
	@echo "make slides       write lessons as slides, a self-contained file each (LESSON=03 for one of them)"
	@echo "make publish      build the site and push it to the branch gh-pages of origin"
	@echo "make bench        measure what people wait for, as ratios"
	@echo "make lint         check the code's style"
	@echo "make clean        delete the virtual environments"

lab: models
	@# Widgets of a notebook that was made elsewhere are pictures until it is trusted.
	@$(BIN)/jupyter trust notebooks/*.ipynb notebooks/solutions/*.ipynb >/dev/null 2>&1 || true
	@echo "Opening JupyterLab. Stop it with Ctrl-C."
	$(BIN)/jupyter lab $(LAB_FLAGS) $(ARGS)

# One set of tests; tests/support/tiers.py says what belongs where. Each runs in one tier, but for properties, which
# the gate tries on ten times as many examples.
quick: models
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not gate and not browser and not lesson" $(ARGS)

test: models browser
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not gate" $(ARGS)

gate: models browser
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=gate $(BIN)/python -m pytest -m "gate or property" $(ARGS)

check: lint test gate test-matrix

test-matrix: models $(VENV_OLD)/installed
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=gate $(VENV_OLD)/bin/python -m pytest $(OLD_TESTS) $(ARGS)

fuzz: models
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/unit/test_properties.py $(ARGS)

bench: models
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.benchmarks.bench

notebooks: models
	$(BIN)/python -m publish notebooks $(ARGS)

page slides: models
	$(BIN)/python -m publish $@ $(LESSON)

# Buttons that open a lesson elsewhere need to know where it lives.
SITE_FLAGS := $(if $(REPOSITORY),--repository $(REPOSITORY)) $(if $(ADDRESS),--address $(ADDRESS)) \
              $(if $(JUPYTERHUB),--jupyterhub $(JUPYTERHUB))

site: models
	$(BIN)/python -m publish site $(SITE_FLAGS)

publish: site
	$(BIN)/ghp-import --no-jekyll --push --force --remote origin \
		--message "The site of $$(git rev-parse --short HEAD)" dist/site

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

models: $(VENV)/installed
	@$(BIN)/python -m utils.models

browser: $(VENV)/installed
	@$(BIN)/python -m tests.support.chromium

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@# A saved notebook keeps its widgets, so that they are there when it is opened again, before any cell has run.
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@echo '{"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": true}}' > $(VENV)/share/jupyter/lab/settings/overrides.json
	@# JupyterLab would ask everybody whether it may fetch news from the network.
	@$(BIN)/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements" >/dev/null 2>&1 || true
	@touch $@

# The tested versions, with those of constraints-$(OLD).txt in place of the newer ones.
$(VENV_OLD)/installed: pyproject.toml constraints.txt constraints-$(OLD).txt
	@echo "Setting up $(VENV_OLD): a few minutes, once."
	$(PYTHON) -m venv $(VENV_OLD)
	sed -n 's/==.*/==/p' constraints-$(OLD).txt > $(VENV_OLD)/replaced.txt
	grep -vFf $(VENV_OLD)/replaced.txt constraints.txt | cat - constraints-$(OLD).txt > $(VENV_OLD)/constraints.txt
	$(VENV_OLD)/bin/python -m pip install --disable-pip-version-check --constraint $(VENV_OLD)/constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV_OLD)
