#!/bin/sh
# `make compose-test`: the production file on a real engine. Uses the engine that answers, else starts one of its own (root, Debian:
# apt-get install docker.io mmdebstrap) and stops it at the end. Base images: those named by PYTHON_IMAGE, REDIS_IMAGE, POSTGRES_IMAGE
# and LOCALSTACK_IMAGE; without PYTHON_IMAGE, stand-ins made from Debian's and PyPI's packages.
set -eu
cd "$(dirname "$0")/../.."
here=tests/compose/standin

if ! docker compose version > /dev/null 2>&1 || ! docker info > /dev/null 2>&1; then
    engine=$PWD/.local/engine
    echo "no engine with compose answers: starting one in $engine"
    "$here/engine.sh" start "$engine"
    trap '"$here/engine.sh" stop "$engine"' EXIT
    export DOCKER_HOST="unix://$engine/docker.sock" DOCKER_CONFIG="$engine/client" HIKYAKU_TEST_ENGINE="$engine"
else
    echo "the engine that answers is not ours to restart: the reboot is left out"
    set -- --deselect tests/compose/test_4_life.py::test_the_host_reboots "$@"
fi
if [ -z "${PYTHON_IMAGE:-}" ]; then
    echo "base images: stand-ins from Debian's and PyPI's packages"
    "$here/bases.sh"
    for name in python redis postgres localstack; do
        export "$(echo $name | tr a-z A-Z)_IMAGE=hikyaku-standin/$name"
    done
    export HIKYAKU_BUILD_NETWORK=host HIKYAKU_CA_BUNDLE="${HIKYAKU_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}"
fi
PATH="$PWD/.venv/bin:$PATH" pytest --timeout 900 tests/compose "$@"
