# make lab opens the lessons, make test runs the tests. Each first sets up what it needs, once.

# The first Python that is new enough and can make virtual environments; make PYTHON=... names another.
USABLE := import ensurepip, sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
                      if $$name -c '$(USABLE)' 2>/dev/null; then echo $$name; exit; fi; done; echo python3)
INSTALL = @command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed, and none is on the path."; exit 1; }; \
           $(PYTHON) install.py
VENV   := .venv
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
NPM    := PATH="$(CURDIR)/$(BIN):$$PATH" npm
ARGS   ?=

# Two recipes that set up one environment would be in each other's way.
.NOTPARALLEL:

# Threads of torch that have nothing to do sleep, they do not spin: beside a browser or a second run on two cores,
# lessons and tests take down to a third of the time. Alone it costs about a tenth, so benchmarks go without.
lab quick test gate test-matrix test-newest fuzz notebooks page slides questions guide site which-masks: export OMP_WAIT_POLICY ?= passive

# A container has no screen and often only root; JupyterLab then prints its address and may run.
LAB_FLAGS := --LabApp.default_url=/lab/tree/my_lessons/00_start_here.ipynb --KernelManager.transport_encryption=auto
ifeq ($(shell id -u),0)
LAB_FLAGS += --allow-root
endif
ifeq ($(shell uname -s)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
LAB_FLAGS += --no-browser
endif

# The older transformers that people still run, in an environment of its own.
OLD        := 4.57
VENV_OLD   := $(VENV)-$(OLD)
# The newest of everything, for the monthly job: what the lessons claim is bound to versions.
VENV_NEW   := $(VENV)-newest
OLD_TESTS  := $(addprefix tests/unit/test_,conventions.py describe.py facts.py influence.py observe.py story_gpt2.py bert_table.py) \
              tests/unit/test_properties.py::test_hf tests/unit/test_properties.py::test_hf_with_a_cache

.PHONY: help lab quick test gate check test-matrix test-newest fuzz bench notebooks page slides questions guide assignment site \
        publish lint models which-masks browser clean
.DEFAULT_GOAL := help

help:
	@echo "make lab          open your own copy of the lessons, my_lessons, in JupyterLab"
	@echo "make quick        run the tests that need neither a browser nor a lesson, about a minute"
	@echo "make test         run the tests, about a quarter of an hour on two cores (ARGS='-k masks' for some of them)"
	@echo "make check        run all there is: style, tests, those that take long, an older transformers"
	@echo "make gate         only the tests that take long, which make check adds to those of make test"
	@echo "make test-matrix  run the tests about masks again, under transformers $(OLD)"
	@echo "make test-newest  run what needs no browser with the newest libraries, as CI does every month"
	@echo "make fuzz         the property tests with 20,000 examples each, about half an hour"
	@echo "make notebooks    execute the lessons in notebooks/src and write their notebooks"
	@echo "make site         build the whole site, with search and downloads"
	@echo "make page         write lessons as self-contained files (LESSON=03 for one of them)"
	@echo "make slides       write lessons as slides, a self-contained file each (LESSON=03 for one of them)"
	@echo "                  (each without solutions: SOLUTIONS=no)"
	@echo "make assignment   write lessons as assignments that nbgrader grades (LESSON=05 for one of them)"
	@echo "make questions    write all questions for polling tools (CSV) and Moodle (GIFT); make guide, the lecturer's guide"
	@echo "make which-masks  try every text model of transformers, and write data/which_masks.json"
	@echo "make publish      build the site and push it to the branch gh-pages of origin"
	@echo "make bench        measure what people wait for, as ratios"
	@echo "make lint         check style, types and spelling, of Python and of JavaScript"
	@echo "make clean        delete the virtual environments"

lab: models
	@$(BIN)/python -m utils.lessons
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

gate: models browser node_modules/.package-lock.json
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=gate $(BIN)/python -m pytest -m "gate or property" $(ARGS)

check: lint test gate test-matrix

test-matrix: models $(VENV_OLD)/installed
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=gate $(VENV_OLD)/bin/python -m pytest $(OLD_TESTS) $(ARGS)

# What compares the table of models with the tested transformers says nothing about a newer one.
OF_THE_TABLE := test_a_line_of_the_table_is_made_again test_the_table_is_made_again \
                test_the_table_says_what_it_was_made_with test_the_table_describes_at_least_85_of_100_classes

# Lessons and all that needs no browser, with the newest libraries that the ranges in pyproject.toml allow.
test-newest: $(VENV_NEW)/installed
	$(VENV_NEW)/bin/python -m utils.models
	HF_HUB_OFFLINE=1 $(VENV_NEW)/bin/python -m pytest tests/unit tests/lessons -m "not browser" \
		--deselect tests/unit/test_house.py::test_what_is_installed_is_what_is_tested \
		$(addprefix --deselect tests/unit/test_zoo.py::,$(OF_THE_TABLE)) $(ARGS)

fuzz: models
	HF_HUB_OFFLINE=1 HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -m property tests/unit/test_properties.py \
		tests/unit/test_influence.py $(ARGS)

bench: models
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.benchmarks.bench

notebooks: models
	$(BIN)/python -m publish notebooks $(ARGS)

page slides: models
	$(BIN)/python -m publish $@ $(LESSON)

questions guide: models
	$(BIN)/python -m publish $@

# It runs nothing, and so needs no models.
assignment: $(VENV)/installed-publish
	$(BIN)/python -m publish $@ $(LESSON)

which-masks: models
	$(BIN)/python -m publish which-masks $(ARGS)

# Buttons that open a lesson elsewhere need to know where it lives.
SITE_FLAGS := $(if $(REPOSITORY),--repository $(REPOSITORY)) $(if $(ADDRESS),--address $(ADDRESS)) \
              $(if $(JUPYTERHUB),--jupyterhub $(JUPYTERHUB))

site: models
	$(BIN)/python -m publish site $(SITE_FLAGS)

publish: site
	$(BIN)/ghp-import --no-jekyll --push --force --remote origin \
		--message "The site of $$(git rev-parse --short HEAD)" dist/site

lint: $(VENV)/installed-dev node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/lesson.yml
	$(NPM) run --silent lint
	$(NPM) run --silent types

# How much is installed follows from what was asked for: lab, publish and dev each hold the one before.
EXTRA := $(if $(filter quick test gate check fuzz bench lint,$(MAKECMDGOALS)),dev,$(if \
              $(filter notebooks page slides questions guide assignment site publish which-masks,$(MAKECMDGOALS)),publish,lab))

models: $(VENV)/installed-$(EXTRA)
	@$(BIN)/python -m utils.models

browser: $(VENV)/installed-dev
	@$(BIN)/python -m tests.support.browsers

$(VENV)/installed-lab $(VENV)/installed-publish $(VENV)/installed-dev: $(VENV)/installed-%: install.py pyproject.toml constraints.txt
	$(INSTALL) $(VENV) $*

# The tested versions, with those of constraints-$(OLD).txt in place of the newer ones.
$(VENV_OLD)/installed: install.py pyproject.toml constraints.txt constraints-$(OLD).txt
	$(INSTALL) $(VENV_OLD) dev --constraint constraints.txt --constraint constraints-$(OLD).txt
	@touch $@

$(VENV_NEW)/installed: install.py pyproject.toml
	$(INSTALL) $(VENV_NEW) dev --newest
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json $(VENV)/installed-dev
	$(NPM) ci --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) $(VENV_OLD) $(VENV_NEW) node_modules
