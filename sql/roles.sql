-- Group roles without login, and what each may do. Runs after every migration, so new tables and views are covered.
--   hindsight_writer  the flows and the API: read and write all tables, but make no tokens
--   hindsight_reader  dashboards and people: the views, and no table
--   hindsight_admin   maintenance: all rows of all tables, what is kept how long, and tables of its own
-- Migrations are for the owner of the tables. Only the owner or a superuser may change a table.
-- A login gets one of them: GRANT hindsight_reader TO grafana;
DO $$
DECLARE
    wanted text;
    view_name text;
    routine text;
    place text := current_schema();
BEGIN
    FOREACH wanted IN ARRAY ARRAY['hindsight_writer', 'hindsight_reader', 'hindsight_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            -- Roles belong to the whole server: another database's migration may make the same one at this moment.
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;

    EXECUTE format('GRANT USAGE ON SCHEMA %I TO hindsight_writer, hindsight_reader, hindsight_admin', place);
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO hindsight_admin', place);
    EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO hindsight_admin', place);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO hindsight_writer', place);
    FOR routine IN SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = place::regnamespace AND proname IN
        ('ensure_partitions', 'make_partitions_ahead', 'drop_expired', 'compact_changes', 'refresh_day', 'refresh_series')
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO hindsight_writer, hindsight_admin', routine);
    END LOOP;
    REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM hindsight_writer, hindsight_admin;
    IF to_regclass('storage_policies') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON storage_policies, retention_log FROM hindsight_writer;
    END IF;
    IF to_regclass('api_tokens') IS NOT NULL THEN
        -- Who writes events may not make itself a token; the API notes when one was used.
        REVOKE INSERT, UPDATE, DELETE ON api_tokens FROM hindsight_writer;
        GRANT UPDATE (last_used_at) ON api_tokens TO hindsight_writer;
    END IF;
    FOR view_name IN SELECT viewname FROM pg_views WHERE schemaname = place AND pg_has_role(viewowner, 'USAGE') LOOP
        EXECUTE format('GRANT SELECT ON %I.%I TO hindsight_reader', place, view_name);
    END LOOP;
END
$$;
