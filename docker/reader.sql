-- The login that Grafana reads with: it sees the views of the role hindsight_reader and nothing else. Run after
-- `hindsight migrate`, by an account that may make roles; the password comes from READER_PASSWORD, so that no list of
-- processes shows it. Run again, it sets the password again.
\set ON_ERROR_STOP on
\getenv password READER_PASSWORD
SELECT 'CREATE ROLE grafana LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana LOGIN PASSWORD :'password' CONNECTION LIMIT 20;
ALTER ROLE grafana SET statement_timeout = '30s';
ALTER ROLE grafana SET default_transaction_read_only = on;
GRANT hindsight_reader TO grafana;
