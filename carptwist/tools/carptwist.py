"""The program ``carptwist``: everything that needs no running daemon.

One module of this package per verb, with

- ``SUMMARY``: what the verb does, in one line (the same as in :data:`VERBS`),
- ``add_arguments(parser)``: its arguments,
- ``run(arguments) -> int``: does it, and gives the exit code.

The module of a verb is imported when the verb is used and not before: some are slow to import, and
some need packages that a host without them can do without.

Exit codes: 0 done; 1 the answer is no; 2 bad usage or bad configuration; 130 and 141, as shells have
it, when an interrupt or a closed pipe ended it.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

from carptwist import __version__

#: Verb -> summary, for ``--help``.
VERBS: Final[Mapping[str, str]] = {
    "check": "read configuration files and tell everything that is wrong with them",
    "plan": "tell what a changed configuration would do, and who would be MASTER after it",
    "passwd": "make a line of a file with names and pass phrases, for telnet of [manhole]",
    "lab": "make a LAN of network namespaces and run hosts in it",
    "simulate": "play a scenario of hosts and failures on virtual time, and tell who owned what",
    "what-if": "tell who would be MASTER if something failed, after how long, and why",
    "certs": "make a small CA, and certificates for the control protocol over TLS",
    "replay": "run what a daemon has recorded again, and tell where it would decide otherwise",
    "dissect": "tell what CARP, ARP and neighbour discovery say in a packet capture",
}

NO_ROOM = 1
#: 128 + SIGINT, 128 + SIGPIPE.
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. The value is its exit code; bad usage raises ``SystemExit(2)``, as argparse does."""
    if argv is None:
        argv = sys.argv[1:]
    try:
        arguments = make_parser(argv).parse_args(argv)
        code: int = arguments.run(arguments)
        # What is still buffered meets a closed pipe here, and not in the interpreter's last breath.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"carptwist: cannot write: {error.strerror}", file=sys.stderr)
        return NO_ROOM
    return code


def module_of(verb: str) -> str:
    """The name of a verb's module: ``what_if`` for ``what-if``."""
    return verb.replace("-", "_")


def make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The program's parser, complete for the verb in ``argv`` alone."""
    parser = argparse.ArgumentParser(prog="carptwist", description="CARP without a daemon: checks, labs, captures.")
    parser.add_argument("--version", action="version", version=f"carptwist {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    # No option of the program itself takes a value: the first word is the verb.
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for verb, summary in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == chosen:
            module = import_module(f"{__package__}.{module_of(verb)}")
            module.add_arguments(verb_parser)
            verb_parser.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
