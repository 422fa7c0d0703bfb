"""Data access from Python: a pool, pages, and for each module of the schema its rows and what is asked of them."""
