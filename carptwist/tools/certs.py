"""``carptwist certs DIRECTORY``: a small CA, so that nobody needs to know openssl(1).

::

    DIRECTORY/ca.crt  ca.key              made once; every host and client gets ca.crt, ca.key stays here
    DIRECTORY/NAME.crt  NAME.key          for each --server NAME (its names and addresses) and --client NAME

What is there already is kept: run it again for one more host, or for one more operator. Keys have mode 0600. One that
has expired, or is for other names than the wanted ones, is kept as well, and told of: whoever removes it gets another.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

SUMMARY = "make a small CA, and certificates for the control protocol over TLS"

REFUSED = 1
BAD_USAGE = 2
CA_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIRECTORY", help="where the CA is, or will be")
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME[,NAME...]",
        help="a daemon, with all names and addresses that clients connect to; the first one names the file",
    )
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="an operator or a program")
    parser.add_argument("--days", type=int, default=825, metavar="NUMBER", help="how long they hold (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Make what is missing. 0; 1 if something cannot be made; 2 for a name that is none."""
    try:
        from cryptography import x509  # noqa: F401
    except ImportError:
        return _complain("certs needs cryptography: pip install 'twisted[tls]'", REFUSED)
    for name in [each for server in arguments.server for each in server.split(",")] + arguments.client:
        if not _NAME.fullmatch(name) or name == "ca":
            return _complain(f"certs: {name!r}: a name has letters, digits, dots, colons and dashes, and is not ca", 2)
    if not 1 <= arguments.days <= CA_DAYS:
        return _complain(f"certs: --days {arguments.days}: must be 1 to {CA_DAYS}", BAD_USAGE)
    try:
        authority = _Authority(Path(arguments.directory), datetime.datetime.now(datetime.UTC))
        for server in arguments.server:
            authority.issue(server.split(","), arguments.days, server=True)
        for client in arguments.client:
            authority.issue([client], arguments.days, server=False)
    except OSError as error:
        return _complain(f"certs: {error.filename}: {error.strerror}", REFUSED)
    except ValueError as error:
        return _complain(f"certs: {arguments.directory}: {error}", REFUSED)
    if arguments.json:
        print(json.dumps({"made": authority.made, "kept": list(authority.kept)}, indent=2))
    else:
        for made in authority.made:
            print(f"{made}: made")
        for kept, until in authority.kept.items():
            print(f"{kept}: kept, holds until {until}")
    for unfit in authority.unfit:
        _complain(f"certs: {unfit}", REFUSED)
    return REFUSED if authority.unfit else 0


class _Authority:
    """The CA in a directory, made if it is not there."""

    def __init__(self, directory: Path, now: datetime.datetime) -> None:
        self.made: list[str] = []
        self.kept: dict[str, datetime.date] = {}  # and until when they hold
        self.unfit: list[str] = []
        self._directory = directory
        self._now = now
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (directory / "ca.crt").exists():
            self._recall()
        else:
            self._found()

    def issue(self, names: Sequence[str], days: int, *, server: bool) -> None:
        """A certificate and its key, unless they are there."""
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        if (self._directory / f"{names[0]}.crt").exists():
            self._keep(names[0], names)
            return
        key = _new_key()
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_subject(names[0]), key, days)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        self._write(names[0], self._sign(builder), key)

    def _found(self) -> None:
        from cryptography import x509

        self._key = _new_key()
        self._name = _subject("carptwist CA")
        builder = self._builder(self._name, self._key, CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        self._write("ca", self._sign(builder), self._key)

    def _recall(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        certificate = x509.load_pem_x509_certificate((self._directory / "ca.crt").read_bytes())
        self._name = certificate.subject
        self._key = load_pem_private_key((self._directory / "ca.key").read_bytes(), None)
        self._keep("ca", ())

    def _keep(self, name: str, names: Sequence[str]) -> None:
        """It is there already; whether it is what is wanted."""
        from cryptography import x509

        path = self._directory / f"{name}.crt"
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        until = certificate.not_valid_after_utc
        self.kept[str(path)] = until.date()
        another = f"remove it and {name}.key to have another one made"
        if until <= self._now:
            self.unfit.append(f"{path} has expired on {until.date()}: {another}")
        elif names:
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            there = [str(each.value) for each in found]
            if there != [str(_general(each).value) for each in names]:
                self.unfit.append(f"{path} is for {', '.join(there)}: {another}")

    def _builder(self, subject: Any, key: Any, days: int) -> Any:
        from cryptography import x509

        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # Clocks of hosts differ.
            .not_valid_before(self._now - datetime.timedelta(hours=1))
            .not_valid_after(self._now + datetime.timedelta(days=days))
        )

    def _sign(self, builder: Any) -> Any:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: Any, key: Any) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _create(self._directory / f"{name}.key", secret, 0o600)
        _create(self._directory / f"{name}.crt", certificate.public_bytes(Encoding.PEM), 0o644)
        self.made.append(str(self._directory / f"{name}.crt"))


def _create(path: Path, octets: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(octets)


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(name: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _complain(text: str, code: int) -> int:
    print(f"carptwist: {text}", file=sys.stderr)
    return code
