"""TLS for the control protocol: 1.2 and later, and both ends show a certificate.

The daemon lets nobody in whose certificate was not signed by the CA of ``clients``; a client believes no daemon whose
certificate was not signed by its CA, or is for another name or address than the one that it connects to. pyOpenSSL is
imported when one of these functions is called, and not before: a daemon without TLS does without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, SSL4ServerEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from carptwist.config.schema import ControlConfig

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class TlsError(Exception):
    """TLS cannot be used; the text says what is missing or wrong, for the operator."""


def server_endpoint(reactor: Any, config: ControlConfig) -> IStreamServerEndpoint:
    """Where the daemon listens.

    :raises TlsError: a file cannot be used.
    """
    assert config.tls is not None and config.certificate and config.key and config.clients
    ssl = _ssl()
    own = _own(ssl, config.certificate, config.key)
    options = ssl.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        extraCertChain=[each.original for each in _certificates(ssl, config.certificate)[1:]],
        trustRoot=ssl.trustRootFromCertificates(_certificates(ssl, config.clients)),
        raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
    )
    return SSL4ServerEndpoint(reactor, config.tls.port, options, interface=config.tls.interface)


def client_endpoint(
    reactor: Any, host: str, port: int, *, certificate: str, key: str, ca: str
) -> IStreamClientEndpoint:
    """How a client connects.

    :raises TlsError: a file cannot be used.
    """
    ssl = _ssl()
    options = ssl.optionsForClientTLS(
        host,
        trustRoot=ssl.trustRootFromCertificates(_certificates(ssl, ca)),
        clientCertificate=_own(ssl, certificate, key),
        extraCertificateOptions={"raiseMinimumTo": ssl.TLSVersion.TLSv1_2},
    )
    endpoint: IStreamClientEndpoint = wrapClientTLS(options, HostnameEndpoint(reactor, host, port))
    return endpoint


def tls_reason(error: BaseException | None) -> str:
    """What OpenSSL says of a handshake that failed, in words: its exceptions hold lists of tuples."""
    parts = getattr(error, "args", ())
    if parts and isinstance(parts[0], list) and parts[0]:
        # The last one is what it came to, the others how OpenSSL got there.
        return str(parts[0][-1][-1])
    errors = getattr(error, "errors", None)
    if errors:
        return f"its certificate is not for {errors[0].mismatched_id}" if hasattr(errors[0], "mismatched_id") else ""
    return str(error) or type(error).__name__


def is_tls_error(error: BaseException) -> bool:
    """Whether an exception is OpenSSL's or that of a wrong name in a certificate."""
    return type(error).__module__.partition(".")[0] in ("OpenSSL", "service_identity")


def _ssl() -> Any:
    try:
        from twisted.internet import ssl
    except ImportError as error:
        raise TlsError(f"TLS needs pyOpenSSL and service_identity: pip install 'twisted[tls]' ({error})") from None
    return ssl


def _own(ssl: Any, certificate: str, key: str) -> Any:
    octets = _octets(key) + b"\n" + _octets(certificate)
    try:
        return ssl.PrivateCertificate.loadPEM(octets)
    except Exception:
        # Not what OpenSSL says of it: that may be a piece of a key.
        raise TlsError(f"{certificate} and {key} are not a certificate and its key, in PEM") from None


def _certificates(ssl: Any, path: str) -> list[Any]:
    octets = _octets(path)
    try:
        found = [ssl.Certificate.loadPEM(_BEGIN + part) for part in octets.split(_BEGIN)[1:]]
    except Exception as error:
        raise TlsError(f"{path}: not certificates in PEM ({type(error).__name__})") from None
    if not found:
        raise TlsError(f"{path}: holds no certificate in PEM")
    return found


def _octets(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsError(f"{path}: cannot be read: {error.strerror}") from None
