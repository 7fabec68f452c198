FROM hikyaku-standin/python
# The release of the image that docker-compose.yml names; later releases of its undated dependencies break it.
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle SSL_CERT_FILE=/run/secrets/ca_bundle; fi; \
    pip install --quiet --root-user-action=ignore uv \
    && uv pip install --system --quiet --exclude-newer 2026-03-01 "localstack-core[runtime]==4.14.0" boto3
# So it looks for /etc/localstack and /var/lib/localstack, and listens on every address, as in its own image.
ENV OVERRIDE_IN_DOCKER=1 GATEWAY_LISTEN=0.0.0.0:4566
RUN mkdir -p /etc/localstack/init/ready.d /var/lib/localstack
EXPOSE 4566
CMD ["python", "-m", "localstack.runtime.main"]
