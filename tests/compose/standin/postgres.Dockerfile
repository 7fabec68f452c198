FROM hikyaku-standin/python
ENV LANG=C.UTF-8 PATH=/usr/lib/postgresql/17/bin:${PATH} PGDATA=/var/lib/postgresql/data
RUN groupadd --system --gid 999 postgres && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres \
    && apt-get update -qq && apt-get install -qq --yes --no-install-recommends postgresql-17 \
    && rm -rf /var/lib/postgresql/17 && mkdir -p "$PGDATA" /docker-entrypoint-initdb.d \
    && install -d -o postgres -g postgres -m 3777 /var/run/postgresql \
    && chown postgres:postgres "$PGDATA" && chmod 1777 "$PGDATA"
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
CMD ["postgres"]
