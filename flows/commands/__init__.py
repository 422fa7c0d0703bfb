"""The subcommands of ``hindsight``, one a module; each has ``command``, a :class:`click.Command`."""
