"""The database: numbered migrations and roles. SQL only; a package, so that it is found wherever it is installed."""
