"""The verbs of carpctl, one module each.

A module has

- ``SUMMARY``: what the verb does, in one line,
- ``add_arguments(parser)``: its arguments,
- ``ask(client, arguments, out)``: does it over a :class:`carptwist.control.client.ControlClient`, prints to ``out``
  (:class:`carptwist.tools.terminal.Terminal`), and gives a Deferred that fires when it is done,
- ``check(arguments)``, where argparse does not see all: raises :class:`carptwist.tools.terminal.UsageError` for bad
  usage, before a daemon is asked for,
- ``lasts(arguments)``, where it may go on for ever (``--watch``, ``--follow``): whether it does.
"""
