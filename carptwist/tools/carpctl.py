"""``carpctl``: asks a running daemon over its control socket.

Exit codes: 0 done; 1 the daemon refused; 2 bad usage or a bad configuration; 3 no daemon reachable; 130 and 141, as
shells have it, when an interrupt or a closed pipe ended it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError, inlineCallbacks
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import react

from carptwist import __version__
from carptwist.control.commands import RefusedError
from carptwist.control.framing import LONGEST_BOX
from carptwist.control.revision_commands import BadConfigurationError
from carptwist.tools import destination, revision_verbs
from carptwist.tools.destination import UnreachableError, reach, silent
from carptwist.tools.terminal import Terminal, UsageError
from carptwist.tools.verbs import (
    demote,
    events,
    explain,
    ifconfig,
    maintenance,
    state,
    status,
    sync,
    sysctl,
    undemote,
    version,
)

DONE = 0
REFUSED = 1
BAD_USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130
PIPE_CLOSED = 141

#: A daemon that lives answers at once; one that is stopped in a debugger must not hold an operator up for ever.
ANSWER_SECONDS = 10.0

#: Options that never leave this host: they may name files whose names are no text.
OF_THIS_HOST = ("socket", "certificate", "key", "ca")

#: Octets of a request beside the words themselves, at most: names of the command and its arguments; lengths of each.
OVERHEAD = 1000
OVERHEAD_EACH = 2

#: Verb -> its module, in the order of ``--help``.
VERBS: Final[Mapping[str, ModuleType]] = {
    "status": status,
    "ifconfig": ifconfig,
    "sysctl": sysctl,
    "state": state,
    "explain": explain,
    "events": events,
    "maintenance": maintenance,
    "demote": demote,
    "undemote": undemote,
    "sync": sync,
    "version": version,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line, and leave with its exit code."""
    arguments = make_parser().parse_args(argv)
    react(_run_to_its_end, (arguments,))


def make_parser() -> argparse.ArgumentParser:
    """The command line of the program."""
    parser = argparse.ArgumentParser(prog="carpctl", description="Talk to a running carptwist daemon.")
    parser.add_argument("--version", action="version", version=f"carpctl {__version__}")
    destination.add_arguments(parser)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in VERBS.items():
        summary = module.SUMMARY
        verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        module.add_arguments(verb)
    revision_verbs.add(verbs)
    return parser


def _run_to_its_end(reactor: Any, arguments: argparse.Namespace) -> Deferred[None]:
    def interrupted() -> None:
        # The reactor would call it a success.
        if not running.called:
            sys.stderr.flush()
            os._exit(INTERRUPTED)

    running: Deferred[None] = _run(reactor, arguments)
    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    return running


@inlineCallbacks
def _run(reactor: Any, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, None]:
    arguments.reactor = reactor
    module = VERBS.get(arguments.verb)
    limit = ANSWER_SECONDS
    try:
        _check(arguments)
        if module is not None and hasattr(module, "check"):
            module.check(arguments)
        client = yield reach(reactor, arguments, ANSWER_SECONDS)
        out = Terminal(sys.stdout, os.environ)
        arguments.limit = limit = getattr(arguments, "limit", limit)
        if module is None:
            out.say((yield arguments.ask(client, arguments).addTimeout(limit, reactor)))
        elif hasattr(module, "lasts") and module.lasts(arguments):
            yield module.ask(client, arguments, out)
        else:
            yield module.ask(client, arguments, out).addTimeout(limit, reactor)
    except BadConfigurationError as error:
        print(error, file=sys.stderr)
        raise SystemExit(BAD_USAGE) from None
    except UsageError as error:
        raise SystemExit(_complain(str(error), BAD_USAGE)) from None
    except RefusedError as error:
        raise SystemExit(_complain(str(error), REFUSED)) from None
    except UnreachableError as error:
        raise SystemExit(_complain(str(error), UNREACHABLE)) from None
    except ConnectionClosed:
        text = f"no daemon answers at {arguments.socket}: it has hung up"
        raise SystemExit(_complain(text, UNREACHABLE)) from None
    except TimeoutError:
        raise SystemExit(_complain(silent(arguments.socket, limit), UNREACHABLE)) from None
    except BrokenPipeError:
        _print_no_more()
        raise SystemExit(PIPE_CLOSED) from None
    except OSError as error:
        _print_no_more()
        raise SystemExit(_complain(f"cannot print the answer: {error.strerror}", REFUSED)) from None
    raise SystemExit(DONE)


def _check(arguments: argparse.Namespace) -> None:
    """The protocol carries text, and not too much of it; what a shell passes on need not be any."""
    octets = OVERHEAD
    for name, value in vars(arguments).items():
        if name in OF_THIS_HOST:
            continue
        for word in value if isinstance(value, list) else [value]:
            try:
                octets += len(str(word).encode()) + OVERHEAD_EACH
            except UnicodeEncodeError:
                # Not shown: it may be a pass phrase.
                raise UsageError(f"{arguments.verb}: a word on the command line is not text in UTF-8") from None
    if octets > LONGEST_BOX:
        raise UsageError(f"{arguments.verb}: that is more than the control protocol takes in one request")


def _print_no_more() -> None:
    # Or what could not be written would be tried once more at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str, code: int) -> int:
    """One line on standard error."""
    print(f"carpctl: {' '.join(text.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
