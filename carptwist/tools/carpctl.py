"""``carpctl``: asks a running daemon over its control socket.

Exit codes: 0 done; 1 the daemon refused; 2 bad usage or a bad configuration; 3 no daemon reachable; 130 and 141, as
shells have it, when an interrupt or a closed pipe ended it.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import react

from carptwist import __version__
from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.control.client import connect
from carptwist.control.commands import RefusedError
from carptwist.control.revision_commands import BadConfigurationError
from carptwist.control.tls import TlsError, client_endpoint, is_tls_error, tls_reason
from carptwist.tools import revision_verbs
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

_REASONS: Final[Mapping[int | None, str]] = {
    errno.ENOENT: "there is no such socket: is the daemon running, and is that the socket which its [control] names?",
    errno.ECONNREFUSED: "nobody listens there: the daemon has ended, or is elsewhere",
    errno.EACCES: "permission denied: it lets in root and the user that it runs as",
}

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
    parser.add_argument(
        "--socket",
        default=DEFAULT_CONTROL_SOCKET,
        metavar="PATH",
        help="the daemon's control socket, or a Twisted client endpoint string (default: %(default)s)",
    )
    for name, what in (("certificate", "this client's certificate"), ("key", "its key"), ("ca", "the daemon's CA")):
        parser.add_argument(f"--{name}", metavar="FILE", help=f"for --socket ssl:HOST:PORT: {what}, PEM")
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
    connected = False
    try:
        if module is not None and hasattr(module, "check"):
            module.check(arguments)
        client = yield connect(_endpoint(reactor, arguments)).addTimeout(ANSWER_SECONDS, reactor)
        connected = True
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
    except (ConnectError, ConnectionClosed) as error:
        why = _why(error, connected)
        raise SystemExit(_complain(f"no daemon answers at {arguments.socket}: {why}", UNREACHABLE)) from None
    except TimeoutError:
        text = f"the daemon at {arguments.socket} does not answer within {limit:g} s"
        raise SystemExit(_complain(text, UNREACHABLE)) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None
    except Exception as error:
        if not is_tls_error(error):
            raise
        text = f"no daemon lets us in at {arguments.socket}: {tls_reason(error)}"
        raise SystemExit(_complain(text, UNREACHABLE)) from None
    raise SystemExit(DONE)


def _why(error: Exception, connected: bool) -> str:
    """Why nobody answers, and what to look for."""
    if isinstance(error, ConnectionClosed):
        return "it has hung up" if connected else "it hangs up on us: it lets in root and the user that it runs as"
    return _REASONS.get(getattr(error, "osError", None), str(error))


def _endpoint(reactor: Any, arguments: argparse.Namespace) -> IStreamClientEndpoint:
    where: str = arguments.socket
    kind, _, rest = where.partition(":")
    if kind in ("ssl", "tls") and rest:
        return _tls_endpoint(reactor, where, rest, arguments)
    if "/" in where.partition(":")[0] or ":" not in where:
        return UNIXClientEndpoint(reactor, where)
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, where)
    except ValueError as error:
        raise UsageError(f"--socket {where}: {error}") from None
    return endpoint


def _tls_endpoint(reactor: Any, where: str, rest: str, arguments: argparse.Namespace) -> IStreamClientEndpoint:
    host, _, port = rest.rpartition(":")
    host = host.strip("[]").replace("\\:", ":").removeprefix("host=")
    port = port.removeprefix("port=")
    if not host or not port.isascii() or not port.isdigit():
        raise UsageError(f"--socket {where}: write ssl:HOST:PORT")
    missing = [f"--{name}" for name in ("certificate", "key", "ca") if not getattr(arguments, name)]
    if missing:
        raise UsageError(f"--socket {where}: {', '.join(missing)} missing: `carptwist certs` makes the files")
    try:
        return client_endpoint(
            reactor, host, int(port), certificate=arguments.certificate, key=arguments.key, ca=arguments.ca
        )
    except TlsError as error:
        raise UsageError(str(error)) from None


def _complain(text: str, code: int) -> int:
    """One line on standard error."""
    print(f"carpctl: {' '.join(text.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
