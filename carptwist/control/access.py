"""Who is at the other end of a control connection, and whether that one may be there.

On a UNIX socket the kernel says which process connected (SO_PEERCRED, unix(7)): root and the daemon's own user may. On
TLS the certificate says: OpenSSL has let nobody in whose certificate the configured CA has not signed.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.interfaces import ISSLTransport

_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


class Caller(NamedTuple):
    """A connected program. ``name`` is for logs; ``allowed`` whether it may ask anything; ``user`` the same for all
    programs of one user."""

    name: str
    allowed: bool
    user: str


def caller(transport: Any, *, own_uid: int) -> Caller:
    """Who is at the other end of a transport, after its handshake if it has one."""
    if ISSLTransport.providedBy(transport):
        return _by_certificate(transport)
    handle = transport.getHandle() if hasattr(transport, "getHandle") else None
    if isinstance(handle, socket.socket) and handle.family == socket.AF_UNIX:
        return _by_credentials(handle, own_uid)
    return Caller("nobody known", False, "")


def _by_credentials(handle: socket.socket, own_uid: int) -> Caller:
    pid, uid, _ = _CREDENTIALS.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        program = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        program = "ended"
    # What else the user is called a directory service knows, which may take its time: no advertisement waits for that.
    user = "root" if uid == 0 else "a user"
    return Caller(f"{user} (uid {uid}, pid {pid}, {_plain(program)})", uid in (0, own_uid), f"uid {uid}")


def _by_certificate(transport: Any) -> Caller:
    certificate = transport.getPeerCertificate()
    where = transport.getPeer()
    host = getattr(where, "host", "unknown")
    if certificate is None:
        return Caller(f"{host}, without a certificate", False, host)
    names = [_plain(value) for _, value in _names(certificate)]
    return Caller(f"{', '.join(names) or 'a certificate without names'} (certificate, from {host})", True, host)


def _plain(text: str) -> str:
    """What others have chosen, fit for a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:100])


def _names(certificate: Any) -> list[tuple[str, str]]:
    """The common name and the alternative names, each once, in this order."""
    from cryptography import x509

    parsed = certificate.to_cryptography()
    found = [("CN", str(each.value)) for each in parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    try:
        alternative = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found
    for name in alternative:
        value = str(getattr(name, "value", name))
        if value not in (text for _, text in found):
            found.append(("SAN", value))
    return found
