"""``carptwist certs``."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from cryptography import x509

from carptwist.tools.carptwist import main
from carptwist.tools.certs import _Authority


def certs(directory: Path, *words: str) -> int:
    return main(["certs", str(directory), *words])


def test_a_ca_a_server_and_a_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signed by the CA, for the names given, with keys that nobody else can read."""
    directory = tmp_path / "tls"
    assert certs(directory, "--server", "a.example,192.0.2.2,2001:db8::2", "--client", "alice", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"] == []
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    for name in ("a.example", "alice"):
        issued = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
        issued.verify_directly_issued_by(authority)
        assert (directory / f"{name}.key").stat().st_mode & 0o777 == 0o600
    server = x509.load_pem_x509_certificate((directory / "a.example.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["a.example", "192.0.2.2", "2001:db8::2"]
    assert (directory / "ca.key").stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One more host or client is added to the same CA."""
    assert certs(tmp_path, "--client", "alice") == 0
    before = (tmp_path / "alice.key").read_bytes()
    assert certs(tmp_path, "--client", "alice", "--client", "bob") == 0
    assert (tmp_path / "alice.key").read_bytes() == before
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    x509.load_pem_x509_certificate((tmp_path / "bob.crt").read_bytes()).verify_directly_issued_by(authority)
    assert f"{tmp_path}/bob.crt: made" in capsys.readouterr().out


def test_what_is_kept_and_not_what_is_wanted_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One for other names, one that has expired; with code 1, what to do, and what is good made all the same."""
    assert certs(tmp_path, "--server", "a.example", "--client", "alice", "--days", "1") == 0
    capsys.readouterr()
    assert certs(tmp_path, "--server", "a.example,192.0.2.2", "--client", "bob") == 1
    told = capsys.readouterr()
    assert told.err == (
        f"carptwist: certs: {tmp_path}/a.example.crt is for a.example: remove it and a.example.key to have another one "
        "made\n"
    )
    assert f"{tmp_path}/bob.crt: made\n" in told.out
    authority = _Authority(tmp_path, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2))
    authority.issue(["alice"], 1, server=False)
    (unfit,) = authority.unfit
    assert unfit.startswith(f"{tmp_path}/alice.crt has expired on 20")
    (tmp_path / "alice.crt").unlink()
    (tmp_path / "alice.key").unlink()
    assert certs(tmp_path, "--client", "alice") == 0


@pytest.mark.parametrize("words", [["--client", "../x"], ["--client", "ca"], ["--server", "a,"], ["--days", "0"]])
def test_bad_names_are_refused(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2, and nothing made."""
    assert certs(tmp_path / "tls", *words) == 2
    assert not (tmp_path / "tls").exists()
    assert capsys.readouterr().err.startswith("carptwist: certs: ")


def test_a_directory_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 1, and one line; no key in it."""
    (tmp_path / "file").write_text("")
    assert certs(tmp_path / "file" / "tls") == 1
    (tmp_path / "ca.crt").write_text("rubbish")
    assert certs(tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
