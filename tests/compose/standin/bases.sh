#!/bin/sh
# Stand-ins for the base images, from Debian's and PyPI's packages, for a host that reaches no image registry:
# `bases.sh` builds hikyaku-standin/{python,redis,postgres,localstack} on the engine of DOCKER_HOST. Root, mmdebstrap.
# They are made like the images that docker-compose.yml names, as far as it uses them: paths, user ids, entry points.
set -eu
here=$(dirname "$0")
ca=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}

have() { docker image inspect "hikyaku-standin/$1" > /dev/null 2>&1; }

if ! have python; then
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
        --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; ln -s python3 "$1/usr/bin/python"' \
        trixie - http://deb.debian.org/debian |
        docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - hikyaku-standin/python
fi
for name in redis postgres localstack; do
    have $name || docker buildx build --load --quiet --network host --secret "id=ca_bundle,src=$ca" \
        --file "$here/$name.Dockerfile" --tag "hikyaku-standin/$name" "$here"
done
