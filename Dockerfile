# One image a service: docker build --build-arg SERVICE=poller|decryptor|loader|migrate|flower .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ARG UV_VERSION=0.13.9
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
# Behind a TLS-inspecting proxy: docker build --secret id=ca_bundle,src=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi; \
    pip install --root-user-action=ignore uv==${UV_VERSION}
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY shared shared
COPY services services
COPY cli cli
# Only what this service declares: no boto3 in the loader's image, no psycopg in the decryptor's.
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache/uv \
    if [ -s /run/secrets/ca_bundle ]; then export SSL_CERT_FILE=/run/secrets/ca_bundle; fi; \
    case "${SERVICE}" in \
      poller|decryptor|loader) packages="--package hikyaku-${SERVICE}" ;; \
      migrate) packages="--package hikyaku-loader --extra migrate" ;; \
      flower) packages="--package hikyaku-shared --extra flower" ;; \
      *) echo "SERVICE must be poller, decryptor, loader, migrate or flower" >&2; exit 1 ;; \
    esac; \
    uv sync --frozen --no-dev --no-editable ${packages} && rm -f /app/.lock

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="hikyaku-${SERVICE}"
# One fixed uid for all services: the decryptor and the loader share the spool.
RUN groupadd --gid 10001 hikyaku && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin hikyaku
COPY --from=build /app /app
ENV PATH=/app/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HIKYAKU_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-c", "raise SystemExit('say which service to run: see docker-compose.yml')"]
