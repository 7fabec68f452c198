#!/bin/sh
# A Docker engine of its own for the test, where none runs: `engine.sh start|stop|restart DIR`. Debian, root.
# The engine is Debian's docker.io; compose and buildx come as mere files from trixie, so that nothing else is upgraded.
# Afterwards: DOCKER_HOST=unix://DIR/docker.sock DOCKER_CONFIG=DIR/client docker ...
set -eu
dir=$2

plugins() {
    mkdir -p "$dir/client/cli-plugins" "$dir/apt/lists/partial" "$dir/apt/archives/partial"
    echo 'deb http://deb.debian.org/debian trixie main' > "$dir/apt/sources.list"
    set -- -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$dir/apt/lists" \
        -o Dir::Cache="$dir/apt" -o APT::Sandbox::User=root
    apt-get "$@" -qq update
    (cd "$dir/apt" && apt-get "$@" -qq download docker-compose docker-buildx)
    for package in "$dir"/apt/docker-*.deb; do dpkg -x "$package" "$dir/apt/files"; done
    find "$dir/apt/files" -path '*/cli-plugins/docker-*' -type f -exec cp {} "$dir/client/cli-plugins/" \;
}

start() {
    for program in dockerd mmdebstrap; do
        command -v $program > /dev/null || { echo "missing $program: apt-get install docker.io mmdebstrap" >&2; exit 1; }
    done
    [ -x "$dir/client/cli-plugins/docker-compose" ] || plugins
    dockerd --data-root "$dir/data" --exec-root "$dir/exec" -H "unix://$dir/docker.sock" --pidfile "$dir/docker.pid" \
        > "$dir/dockerd.log" 2>&1 &
    tries=60
    until docker -H "unix://$dir/docker.sock" info > /dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { tail "$dir/dockerd.log" >&2; exit 1; }
        sleep 1
    done
}

stop() {
    pid=$(cat "$dir/docker.pid")
    kill "$pid"
    while kill -0 "$pid" 2> /dev/null; do sleep 1; done
}

restart() {
    stop
    start
}

mkdir -p "$dir"
case $1 in start | stop | restart) "$1" ;; *) echo "usage: engine.sh start|stop|restart DIR" >&2; exit 2 ;; esac
