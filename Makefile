# The one entry point: `make help`. Everything it makes lies in this checkout (.tools, .venv, .local) or in uv's and pip's caches.
PYTHON ?= python3
UV := .tools/uv/bin/uv
RUN := $(UV) run --frozen
export UV_PROJECT_ENVIRONMENT := .venv

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench day chaos chaos-proves hostile privileges images sbom audit compose-test clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV): uv-requirements.txt
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement uv-requirements.txt
	@touch $@

.venv/.synced: $(UV) uv.lock pyproject.toml shared/pyproject.toml services/poller/pyproject.toml services/decryptor/pyproject.toml services/loader/pyproject.toml cli/pyproject.toml
	$(UV) sync --frozen
	@touch $@

# checkov in an environment of its own. It is asked again only when the template, or checkov, has changed; --skip-download: it stays offline.
.tools/checkov/.installed: $(UV) aws/checkov-requirements.txt
	$(UV) venv --quiet --clear --python $(PYTHON) .tools/checkov
	$(UV) pip install --quiet --python .tools/checkov --require-hashes --requirement aws/checkov-requirements.txt
	@touch $@

.tools/checkov/.passed: .tools/checkov/.installed aws/stack.yaml
	.tools/checkov/bin/checkov --quiet --compact --skip-download --framework cloudformation --file aws/stack.yaml
	@touch $@

setup: .venv/.synced ## Install uv and the workspace inside this checkout

demo: setup ## Carry real files from S3 into PostgreSQL on this machine (KEEP=1 leaves the stack up)
	$(RUN) hikyaku demo $(if $(KEEP),--keep,)

test: setup ## Run all tests: unit, and integration on a real LocalStack, PostgreSQL and Redis
	$(RUN) pytest $(ARGS)

check: setup .tools/checkov/.passed ## Lint, format, types, template, Dockerfile, workflow: what the hook and CI run too
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) cfn-lint aws/stack.yaml
	$(RUN) hadolint Dockerfile
	$(RUN) zizmor --offline --quiet --persona pedantic .github
	$(UV) lock --check

format: setup ## Format the code and mend what the linter can
	$(RUN) ruff check --fix
	$(RUN) ruff format

bench: setup ## Measure the line beside a plain loop, on a stack of its own in .local/bench, and what wrong records cost
	$(RUN) hikyaku local up --dir .local/bench
	PYTHONPATH=tests/integration:benchmarks $(RUN) python benchmarks/line_speed.py .local/bench; \
	  status=$$?; $(RUN) hikyaku local down --dir .local/bench --clean; exit $$status
	PYTHONPATH=tests $(RUN) python benchmarks/wrong_rows.py

day: setup ## Type the day in README.md anew on a stack of its own in .local/day, and write it down, with the picture
	HIKYAKU_METRICS_PORT=9464 $(RUN) hikyaku local up --dir .local/day
	PYTHONPATH=tests/integration HIKYAKU_METRICS_URL=http://127.0.0.1:9464/metrics $(RUN) python tests/integration/day.py .local/day; \
	  status=$$?; $(RUN) hikyaku local down --dir .local/day --clean; exit $$status

chaos: setup ## Kill, cut and repeat everything on a real stack (ARGS="--short --seed 1"; without ARGS about an hour)
	PYTHONPATH=tests $(RUN) python -m chaos $(ARGS)

chaos-proves: setup ## Break the product on purpose in three ways: chaos must catch each
	PYTHONPATH=tests $(RUN) python -m chaos.proves

hostile: setup ## Send bad input of every kind through a real line (ARGS="--short --seed 1"; without ARGS four minutes)
	PYTHONPATH=tests:tests/integration $(RUN) python -m hostile $(ARGS)

privileges: setup ## Print who may do what in AWS, PostgreSQL and Redis, tried on moto and on real servers, beside the design
	PYTHONPATH=tests:tests/integration $(RUN) python -m privileges

images: ## Build every image of docker-compose.yml: the same sources give the same layers
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) HIKYAKU_REVISION=$$(git describe --always --dirty --abbrev=12) \
	  HIKYAKU_CREATED=$$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) docker compose --profile tools build

# As the Dockerfile installs them.
IMAGES := poller decryptor loader migrate flower cli rebuild
SHIPS_poller := --package hikyaku-poller
SHIPS_decryptor := --package hikyaku-decryptor
SHIPS_loader := --package hikyaku-loader
SHIPS_migrate := --package hikyaku-loader --extra migrate
SHIPS_flower := --package hikyaku-shared --extra flower
SHIPS_cli := --package hikyaku
SHIPS_rebuild := --package hikyaku --extra rebuild

sbom: $(IMAGES:%=dist/sbom/hikyaku-%.cdx.json) ## Write what each image ships, a CycloneDX file each, into dist/sbom

dist/sbom/hikyaku-%.cdx.json: $(UV) uv.lock Makefile
	@mkdir -p $(@D)
	$(UV) export --frozen --quiet --no-dev --preview-features sbom-export --format cyclonedx1.5 $(SHIPS_$*) --output-file $@ > /dev/null

audit: $(UV) ## Ask OSV (api.osv.dev) about known vulnerabilities of everything in uv.lock, and PyPI about withdrawn packages
	$(UV) audit --frozen --preview-features audit-command $(ARGS)

compose-test: setup ## Run docker-compose.yml on a real engine (root, Debian, apt-get install docker.io mmdebstrap)
	tests/compose/run.sh $(ARGS)

clean: ## Stop the local stack and remove what the targets made
	@if [ -x .venv/bin/hikyaku ]; then .venv/bin/hikyaku local down --clean; fi
	rm -rf .venv .tools dist/sbom .mypy_cache .ruff_cache .pytest_cache .coverage
