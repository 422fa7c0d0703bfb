"""What keeps happening: miners over a history of work, plain functions of tables (the nightly flow loads and stores).

Only the nightly flow imports this package: its libraries are the extra `nightly`.
"""
