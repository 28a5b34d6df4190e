"""``carpctl``: asks a running daemon over its control socket.

Exit codes: 0 done; 1 the daemon refused; 2 bad usage or a bad configuration; 3 no daemon reachable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import react

from carptwist import __version__
from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.control.client import ControlClient, connect
from carptwist.control.commands import RefusedError
from carptwist.control.revision_commands import BadConfigurationError
from carptwist.tools import revision_verbs
from carptwist.tools.status_table import render

DONE = 0
REFUSED = 1
BAD_CONFIGURATION = 2
UNREACHABLE = 3

#: A daemon that lives answers at once; one that is stopped in a debugger must not hold an operator up for ever.
ANSWER_SECONDS = 10.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line, and leave with its exit code."""
    arguments = _parser().parse_args(argv)
    react(_run, (arguments,))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="carpctl", description="Talk to a running carptwist daemon.")
    parser.add_argument("--version", action="version", version=f"carpctl {__version__}")
    parser.add_argument(
        "--socket",
        default=DEFAULT_CONTROL_SOCKET,
        metavar="PATH",
        help="the daemon's control socket, or a Twisted client endpoint string (default: %(default)s)",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    status = verbs.add_parser("status", help="every vhid at a glance, the demotion ledger, peers")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(ask=_status)
    version = verbs.add_parser("version", help="the versions of this program and of the daemon")
    version.add_argument("--json", action="store_true", help="print one JSON object")
    version.set_defaults(ask=_version)
    revision_verbs.add(verbs)
    return parser


@inlineCallbacks
def _run(reactor: Any, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, None]:
    limit = ANSWER_SECONDS
    try:
        client = yield connect(_endpoint(reactor, arguments.socket)).addTimeout(ANSWER_SECONDS, reactor)
        limit = getattr(arguments, "limit", limit)
        text = yield arguments.ask(client, arguments).addTimeout(limit, reactor)
    except BadConfigurationError as error:
        print(error, file=sys.stderr)
        raise SystemExit(BAD_CONFIGURATION) from None
    except RefusedError as error:
        _complain(str(error))
        raise SystemExit(REFUSED) from None
    except (ConnectError, ConnectionClosed) as error:
        _complain(f"no daemon answers at {arguments.socket}: {error}")
        raise SystemExit(UNREACHABLE) from None
    except TimeoutError:
        _complain(f"the daemon at {arguments.socket} does not answer within {limit:g} s")
        raise SystemExit(UNREACHABLE) from None
    print(text)
    raise SystemExit(DONE)


def _endpoint(reactor: Any, where: str) -> IStreamClientEndpoint:
    if "/" in where.partition(":")[0] or ":" not in where:
        return UNIXClientEndpoint(reactor, where)
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, where)
    except ValueError as error:
        _complain(f"--socket {where}: {error}")
        raise SystemExit(2) from None
    return endpoint


@inlineCallbacks
def _status(client: ControlClient, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, str]:
    status = yield client.status()
    return json.dumps(status, indent=2, ensure_ascii=False) if arguments.json else render(status)


@inlineCallbacks
def _version(client: ControlClient, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, str]:
    yield client.status()  # that it answers is part of the news
    if arguments.json:
        return json.dumps({"carpctl": __version__, "daemon": client.daemon_version})
    return f"carpctl {__version__}\ndaemon  {client.daemon_version}"


def _complain(text: str) -> None:
    print(f"carpctl: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
