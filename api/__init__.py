"""The HTTP API: what the tables hold, for programs and pages, and the way in for events and people's verdicts.

`api.app.create` makes the application. It knows no settings and no Bytewax: `flows` hands both in.
"""
