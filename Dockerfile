# One image a service: docker build --build-arg SERVICE=poller|decryptor|loader|migrate|flower|cli|rebuild .   (all of them: make images)
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
WORKDIR /src
COPY uv-requirements.txt ./
# Behind a TLS-inspecting proxy: docker build --secret id=ca_bundle,src=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi; \
    pip install --root-user-action=ignore --require-hashes --requirement uv-requirements.txt
COPY pyproject.toml uv.lock ./
COPY shared shared
COPY services services
COPY cli cli
# Only what this service declares: no boto3 in the loader's image, no psycopg in the decryptor's.
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache/uv \
    if [ -s /run/secrets/ca_bundle ]; then export SSL_CERT_FILE=/run/secrets/ca_bundle; fi; \
    case "${SERVICE}" in \
      poller|decryptor|loader) set -- --package "hikyaku-${SERVICE}" ;; \
      migrate) set -- --package hikyaku-loader --extra migrate ;; \
      flower) set -- --package hikyaku-shared --extra flower ;; \
      cli) set -- --package hikyaku ;; \
      rebuild) set -- --package hikyaku --extra rebuild ;; \
      *) echo "SERVICE must be poller, decryptor, loader, migrate, flower, cli or rebuild" >&2; exit 1 ;; \
    esac; \
    uv sync --frozen --no-dev --no-editable "$@"
# GnuPG where files are opened or sent: unpacked, not installed, and so without its documentation. apt leaves out what the base image has.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca_bundle \
    case "${SERVICE}" in decryptor|cli) ;; *) exit 0 ;; esac; \
    set --; if [ -s /run/secrets/ca_bundle ]; then set -- -o Acquire::https::CaInfo=/run/secrets/ca_bundle; fi; \
    mkdir -p /debs/partial /image/usr/lib \
    && apt-get "$@" update -qq \
    && apt-get "$@" -o Dir::Cache::archives=/debs install -qq --yes --no-install-recommends --download-only gpg gpg-agent \
    && for deb in /debs/*.deb; do dpkg-deb --extract "$deb" /image; done \
    && if [ -d /image/lib ]; then cp -a /image/lib/. /image/usr/lib/ && rm -r /image/lib; fi \
    && rm -r /debs /var/lib/apt/lists/* /image/usr/share && rm -rf /image/etc /image/usr/lib/systemd
# The rest of the image, made here: the final stage runs nothing, so that the same sources give the same layers on any day.
# One fixed uid for all services: the decryptor and the loader share the spool. What uv notes of the build's time goes.
ARG SOURCE_DATE_EPOCH=0
RUN groupadd --gid 10001 hikyaku \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hikyaku \
    && rm -f /app/.lock && find /app -name uv_cache.json -delete \
    && find /app -path '*.dist-info/RECORD' -exec sed -i '/uv_cache\.json/d' {} + \
    && find /app -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /app \
    && mkdir -p /image/etc /image/var/lib/hikyaku \
    && cp /etc/passwd /etc/group /image/etc/ && chown 10001:10001 /image/var/lib/hikyaku && chmod 0700 /image/var/lib/hikyaku \
    && mv /app /image/app \
    && find /image -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON_IMAGE}
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="hikyaku-${SERVICE}" \
      org.opencontainers.image.description="Encrypted CSV from S3 into PostgreSQL: each file exactly once" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /image/ /
ENV PATH=/app/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-c", "raise SystemExit('say which service to run: see docker-compose.yml')"]
