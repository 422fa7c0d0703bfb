#!/bin/sh
# Logins of the flows, of the API and of Grafana. The database's image runs this once, when its volume is new and before the
# first migration; the group roles are those of sql/roles.sql. To change a password afterwards: ALTER ROLE … PASSWORD '…'.
set -eu
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv flow HINDSIGHT_FLOW_PASSWORD
\getenv reader HINDSIGHT_READER_PASSWORD
CREATE ROLE hindsight_writer NOLOGIN;
CREATE ROLE hindsight_reader NOLOGIN;
CREATE ROLE hindsight_flow LOGIN PASSWORD :'flow' IN ROLE hindsight_writer;
CREATE ROLE hindsight_grafana LOGIN PASSWORD :'reader' IN ROLE hindsight_reader;
ALTER ROLE hindsight_grafana SET statement_timeout = '30s';
REVOKE ALL ON DATABASE analytics FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE analytics TO hindsight_writer;
GRANT CONNECT ON DATABASE analytics TO hindsight_reader;
SQL
