"""Which daemon a command line is for (``--socket``), how it is reached, and what to look for where it is not.

Whatever goes wrong on the way is told in one line: an operator at night is not helped by a traceback.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.amp import AmpError

from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.config.values import LONGEST_SOCKET_PATH
from carptwist.control.client import ControlClient, connect
from carptwist.control.tls import TlsError, client_endpoint, is_tls_error, tls_reason
from carptwist.control.unreachable import WHO_MAY, why_unreachable
from carptwist.tools.terminal import UsageError


class UnreachableError(Exception):
    """No daemon answers, or lets us in; the text says where, and what to look for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says where the daemon is."""
    parser.add_argument(
        "--socket",
        default=DEFAULT_CONTROL_SOCKET,
        metavar="PATH",
        help="the daemon's control socket, or a Twisted client endpoint string (default: %(default)s)",
    )
    for name, what in (("certificate", "this client's certificate"), ("key", "its key"), ("ca", "the daemon's CA")):
        parser.add_argument(f"--{name}", metavar="FILE", help=f"for --socket ssl:HOST:PORT: {what}, PEM")


@inlineCallbacks
def reach(reactor: Any, arguments: argparse.Namespace, seconds: float) -> Generator[Deferred[Any], Any, ControlClient]:
    """Connect and shake hands, within so many seconds.

    :raises UsageError: what the command line says is no place to connect to.
    :raises UnreachableError: no daemon answers there.
    :raises carptwist.control.commands.RefusedError: it speaks another version.
    """
    where = arguments.socket
    endpoint = _endpoint(reactor, arguments)
    try:
        client: ControlClient = yield connect(endpoint).addTimeout(seconds, reactor)
    except (TimeoutError, ConnectingCancelledError):
        raise UnreachableError(silent(where, seconds)) from None
    except ConnectionClosed:
        why = "over TCP a daemon speaks TLS: write ssl:HOST:PORT" if where.startswith("tcp:") else WHO_MAY
        raise UnreachableError(f"no daemon answers at {where}: it hangs up on us: {why}") from None
    except ConnectError as error:
        raise UnreachableError(f"no daemon answers at {where}: {why_unreachable(error)}") from None
    except AmpError:
        text = f"no daemon answers at {where}: who does, does not speak the control protocol"
        raise UnreachableError(text) from None
    except OSError as error:  # the name of a host that nobody knows
        raise UnreachableError(f"no daemon answers at {where}: {error}") from None
    except OverflowError as error:  # a port beyond 65535
        raise UsageError(f"--socket {where}: {error}") from None
    except Exception as error:
        if not is_tls_error(error):
            raise
        raise UnreachableError(f"no daemon lets us in at {where}: {_told(tls_reason(error))}") from None
    return client


def silent(where: str, seconds: float) -> str:
    """What is said of a daemon that does not answer, as one that is stopped in a debugger."""
    return f"the daemon at {where} does not answer within {seconds:g} s"


def _told(reason: str) -> str:
    """What OpenSSL says, and what it is about: an alert is the daemon's, all else is ours."""
    if "alert" in reason and "protocol version" not in reason:
        return f"it does not accept --certificate ({reason})"
    if reason == "certificate verify failed":
        return f"its certificate is not from the CA of --ca, or has expired ({reason})"
    return reason


def _endpoint(reactor: Any, arguments: argparse.Namespace) -> IStreamClientEndpoint:
    where: str = arguments.socket
    kind, _, rest = where.partition(":")
    if kind in ("ssl", "tls") and rest:
        return _tls_endpoint(reactor, where, rest, arguments)
    if "/" in kind or ":" not in where:
        return _unix_endpoint(reactor, where)
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, where)
    except ValueError as error:
        raise UsageError(f"--socket {where}: {error}") from None
    except TypeError:
        raise UsageError(f"--socket {where}: parts are missing, or too many: write as tcp:HOST:PORT") from None
    return endpoint


def _unix_endpoint(reactor: Any, path: str) -> IStreamClientEndpoint:
    if not path:
        raise UsageError("--socket: the path is empty")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise UsageError(f"--socket {path}: the path of a UNIX socket has at most {LONGEST_SOCKET_PATH} octets")
    endpoint: IStreamClientEndpoint = UNIXClientEndpoint(reactor, path)
    return endpoint


def _tls_endpoint(reactor: Any, where: str, rest: str, arguments: argparse.Namespace) -> IStreamClientEndpoint:
    host, _, port = rest.rpartition(":")
    host = host.strip("[]").replace("\\:", ":").removeprefix("host=")
    port = port.removeprefix("port=")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
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
