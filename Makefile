# The entry point: `make demo` and `make test` need only Python 3.11+, its venv module and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(VENV)/uv/bin/uv
PARALLEL := --numprocesses=auto --dist=worksteal
FAST     := -m 'not slow' $(PARALLEL)
# Without cached bytecode every worker of the tests, and each process that a test starts, would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
# Files of the tests are UTF-8 in any locale; tests of other encodings set them.
test test-all coverage bench drops faults fuzz soak mutants: export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage lint format bench drops faults fuzz soak mutants audit sbom dist release-version chart dashboards calls docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## run simulator and exporter on loopback
	$(BIN)/python -m exporter demo $(ARGS)

test: $(VENV)/.test ## the fast tests, nine of ten; or those of ARGS
	$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),$(FAST))

test-all: $(VENV)/.dev $(VENV)/.kubetools $(VENV)/.oldest-pip $(VENV)/.prometheus3 ## every test; with REQUIRE_TOOLS=1 a missing tool is a failure
	$(BIN)/python -m pytest $(FAST)
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# From Python 3.12 on lines are counted at hardly any cost; before it, that doubles the time. The fast tests execute all but
# a hundredth of them.
coverage: $(VENV)/.test ## the fast tests, and the lines that none of them executes
	COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	$(BIN)/python -m pytest $(FAST) --cov=exporter $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy strict, import-linter, zizmor
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/zizmor --offline --quiet --persona=pedantic --min-severity=low .github

format: $(VENV)/.dev ## what ruff can fix by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## benchmarks, as ratios within one run; no test depends on them
	$(BIN)/python -m tests.campaigns.bench $(ARGS)

faults: $(VENV)/.dev ## every fault at every moment, and environments of the process, as tables
	$(BIN)/python -m tests.campaigns.faults $(ARGS)

fuzz: $(VENV)/.dev ## search for failing inputs; --seconds=N for each target
	$(BIN)/python -m tests.campaigns.fuzz $(ARGS)
	$(BIN)/python -m tests.campaigns.stateful

soak: $(VENV)/.dev ## ninety simulated days under faults, reloads and kill -9, as a table
	$(BIN)/python -m tests.campaigns.soak $(ARGS)

drops: $(VENV)/.dev ## the drop alerts on simulated accounts with known incidents, into docs/design/drop-alerts.md
	$(BIN)/python -m tests.campaigns.drops $(ARGS)

mutants: $(VENV)/.dev ## every small change of core and vod, and whether a test notices; or those of ARGS
	$(BIN)/python -m tests.campaigns.mutation $(ARGS)

audit: $(VENV)/.dev ## known vulnerabilities of the locked packages; needs a network
	$(BIN)/python -m tests.security.audit $(ARGS)

sbom: $(VENV)/.dev ## the content of the image, as CycloneDX, into dist/sbom.cdx.json
	rm -rf $(VENV)/image && mkdir -p dist
	$(PYTHON) -m venv --without-pip $(VENV)/image
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir=$(VENV)/image/dist .
	$(BIN)/python -m pip --python=$(VENV)/image/bin/python install --quiet --disable-pip-version-check --require-hashes -r requirements/roles.txt
	$(BIN)/python -m pip --python=$(VENV)/image/bin/python install --quiet --disable-pip-version-check --no-index --no-deps --find-links=$(VENV)/image/dist aliyun-vod-exporter
	$(BIN)/python -m cyclonedx_py environment --output-reproducible --output-file=dist/sbom.cdx.json $(VENV)/image/bin/python

dist: $(VENV)/.dev $(VENV)/.kubetools ## wheel, source archive and packaged chart, into dist/; SOURCE_URL=... is named by the chart
	rm -f dist/*.whl dist/*.tar.gz dist/*.tgz
	SOURCE_DATE_EPOCH=$$(git show --no-patch --format=%ct HEAD) $(BIN)/python -m hatchling build -d dist
	rm -rf $(VENV)/chart && mkdir -p $(VENV)/chart && cp -RL deploy/helm/aliyun-vod-exporter $(VENV)/chart/
	$(if $(SOURCE_URL),printf 'sources: ["%s"]\n' '$(SOURCE_URL)' >>$(VENV)/chart/aliyun-vod-exporter/Chart.yaml)
	$(VENV)/kubetools/helm package --destination dist $(VENV)/chart/aliyun-vod-exporter

release-version: $(VENV)/.runtime ## fail unless program, chart and CHANGELOG have the version of TAG=vX.Y.Z
	$(BIN)/python -m tests.deploy.release $(TAG)

chart: $(VENV)/.dev ## the chart's values.yaml and README table from its schema
	$(BIN)/python -m tests.deploy.chart_values

dashboards: $(VENV)/.dev ## the dashboards from deploy/grafana/builder
	$(BIN)/python -m deploy.grafana.builder

calls: $(VENV)/.dev ## count calls on the simulator into docs/design/calls.md
	$(BIN)/python -m tests.campaigns.bench.calls

docs: $(VENV)/.dev ## the tables of settings and flags in docs/ and docs/zh-CN/ from the code
	$(BIN)/python -m tests.docs_pages

# A virtual environment is created once, then updated when its lock changes. Where ensurepip is missing, as on Debian
# without python3-venv, it is left behind without pip, and made again the next time.
$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@touch $@

# What lint, the slow tests and campaigns need besides takes as long to install as half of the fast tests to run.
$(VENV)/.test $(VENV)/.dev: $(VENV)/.%: requirements/%.txt pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.test $(VENV)/.runtime

$(VENV)/.kubetools: requirements/kubetools.txt | $(VENV)/.dev
	$(BIN)/python -m tests.deploy.kubetools $(VENV)/kubetools
	@touch $@

$(VENV)/.prometheus3: tests/deploy/promtool.py | $(VENV)/.dev
	$(BIN)/python -m tests.deploy.promtool $(VENV)/prometheus3
	@test ! -d $(VENV)/prometheus3 || touch $@

$(VENV)/.oldest-pip: requirements/oldest-pip.txt | $(VENV)/.dev
	rm -rf $(VENV)/oldest-pip
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest=$(VENV)/oldest-pip -r requirements/oldest-pip.txt
	@touch $@

lock: | $(VENV)/bin/pip ## resolve the dependencies again, for every Python and platform, with hashes
	$(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv
	$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --output-file requirements/runtime.txt
	$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra roles --constraint requirements/runtime.txt --output-file requirements/roles.txt
	$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra roles --group test --constraint requirements/roles.txt --output-file requirements/test.txt
	$(UV) pip compile $(LOCK_FLAGS) pyproject.toml --extra roles --group dev --constraint requirements/test.txt --output-file requirements/dev.txt
	printf 'cyclonedx-bom\nhatchling\nsetuptools\n' | $(UV) pip compile $(LOCK_FLAGS) --constraint requirements/dev.txt --output-file requirements/build.txt -
LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-strip-extras

clean: ## remove everything that was built
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
