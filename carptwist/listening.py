"""UNIX sockets of the daemon that programs of this host connect to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory


def listen(reactor: Any, path: str, mode: int, factory: IProtocolFactory) -> Deferred[IListeningPort]:
    """Listen on a UNIX socket that never had a wider mode than this one.

    Its directory is made. What a predecessor that died has left there is removed; what somebody else has there is not.
    The Deferred fails with an exception whose text is for the operator.
    """
    return maybeDeferred(_listen, reactor, Path(path), mode, factory)


def _listen(reactor: Any, path: Path, mode: int, factory: IProtocolFactory) -> Deferred[IListeningPort]:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    endpoint = UNIXServerEndpoint(reactor, str(path), mode=mode, wantPID=True)
    # The mode comes after the binding: until then nobody else may connect.
    umask = os.umask(0o777 & ~mode)
    try:
        listening: Deferred[IListeningPort] = endpoint.listen(factory)
    finally:
        os.umask(umask)
    return listening
