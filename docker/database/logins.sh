#!/bin/sh
# Runs once, when the database's volume is empty: the logins of the services, each with the least that it needs.
# `hindsight migrate` runs as the owner (POSTGRES_USER) and grants the three group roles what is theirs (docs/storage.md).
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set writer="$HINDSIGHT_WRITER_PASSWORD" --set reader="$HINDSIGHT_READER_PASSWORD" <<'SQL'
CREATE ROLE hindsight_writer NOLOGIN;
CREATE ROLE hindsight_reader NOLOGIN;
CREATE ROLE hindsight_admin NOLOGIN;
CREATE ROLE hindsight_flow LOGIN PASSWORD :'writer' IN ROLE hindsight_writer;
CREATE ROLE grafana LOGIN PASSWORD :'reader' IN ROLE hindsight_reader;
SQL
