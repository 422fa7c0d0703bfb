"""The database: numbered migrations, roles. SQL files only; this package lets them be found wherever it is installed."""
