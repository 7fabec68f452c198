#!/bin/sh
# PostgreSQL's image runs this once, when its volume is new. The passwords come as a file: an environment is shown by `docker inspect`.
set -eu
set -a
. /run/secrets/roles.env
set +a
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file /etc/hikyaku/roles.sql
