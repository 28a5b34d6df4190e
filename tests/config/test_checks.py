"""``[check NAME]``: text -> schema."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from carptwist.config.health import CheckConfig
from carptwist.config.ranges import StatusRange
from carptwist.config.reader import ConfigurationError, Reading, read

VHID = "[vhid 1@em0]\naddress = 192.168.1.1/24\npass = secret\n"


def reading(*lines: str, files: dict[str, str] | None = None) -> Reading:
    def read_file(path: str) -> str:
        try:
            return (files or {})[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return read(f"{VHID}[check web]\n" + "\n".join(lines) + "\n", "/etc/carp.ini", read_file)


def check(*lines: str) -> CheckConfig:
    (found,) = reading(*lines).configuration.checks
    assert isinstance(found, CheckConfig)
    return found


def errors(*lines: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        reading(*lines)
    return [f"{problem.line}: {problem.text}" for problem in refused.value.errors]


def test_one_of_four() -> None:
    """Each with its defaults."""
    url = "http://127.0.0.1:8000/healthz"
    assert check(f"url = {url}") == CheckConfig("web", url=url)
    assert check("command = /bin/probe 'a b'") == CheckConfig("web", command=("/bin/probe", "a b"))
    assert check("interface = em1", "address = 192.0.2.1").address == ip_address("192.0.2.1")
    assert check("file = /run/ready", "content = ^ok").kind == "file"


def test_neither_none_nor_two() -> None:
    """At the section's line, or at that of the first."""
    assert errors("interval = 1") == [
        "4: [check web] it: a check has exactly one of url, command, interface, file, plugin",
    ]
    assert errors("interval = 1", "file = /x", "command = y") == [
        "4: [check web] command and file: a check has exactly one of url, command, interface, file, plugin"
    ]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("url", "status = 200"),
        ("url", "body = x"),
        ("url", "redirects = yes"),
        ("interface", "address = 192.0.2.1"),
        ("file", "content = x"),
    ],
)
def test_what_belongs_to_another_kind_is_refused(kind: str, line: str) -> None:
    """At its own line."""
    key = line.partition(" ")[0]
    assert errors("command = /bin/true", line) == [f"6: [check web] {key}: belongs to a check with {kind}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org:8443/a/b?c=d&e=%20",
        "HTTP://[2001:db8::1]:8000/",
        "http://192.0.2.1?x",
    ],
)
def test_good_addresses_on_the_web(url: str) -> None:
    """Names, addresses of both families, ports, queries."""
    assert check(f"url = {url}").url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "must begin with http:// or https://"),
        ("example.org", "must begin with http:// or https://"),
        ("http://example.org/#top", "never sent"),
        ("http://me:secret@example.org/", "no user or password"),
        ("http://example.org:99999/", "the port must be 1 to 65535"),
        ("http://example.org:0/", "the port must be 1 to 65535"),
        ("http:///path", "is no address"),
        ("http://", "is no address"),
        ("http://a b/", "is no address"),
        ("http://ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple.org/", "is no address"),
        ("http://[2001:db8::1/", "is no address"),
    ],
)
def test_bad_addresses_on_the_web(url: str, why: str) -> None:
    """With what is wrong with them."""
    assert why in errors(f"url = {url}")[0]


def test_status() -> None:
    """One, or a range."""
    assert check("url = http://a/", "status = 204").status == StatusRange(204, 204)
    assert check("url = http://a/", "status = 200 - 399").status == StatusRange(200, 399)
    for bad in ("2xx", "99", "600", "300-200", "200-"):
        assert len(errors("url = http://a/", f"status = {bad}")) == 1


def test_authorities_are_read_from_their_file() -> None:
    """Relative to the configuration; what cannot be read is an error at its line."""
    lines = ("url = https://a/", "ca_file = internal.pem")
    found = reading(*lines, files={"/etc/internal.pem": "PEM"}).configuration.checks[0]
    assert found.authorities == "PEM"
    assert errors(*lines) == [
        "6: [check web] ca_file = internal.pem: cannot read /etc/internal.pem: No such file or directory"
    ]
    with pytest.raises(ConfigurationError, match="ca_file: belongs to a check with url"):
        reading("file = /x", "ca_file = internal.pem", files={"/etc/internal.pem": "PEM"})


def test_the_lines_of_checks_are_known() -> None:
    """For whoever has something to say of one later."""
    assert reading("file = /x").named_lines == {"[check web]": 4}


def test_a_command_has_words() -> None:
    """And its quotations end."""
    assert errors("command = ''") == ["5: [check web] command: there is no command"]
    assert errors("command = 'x") == ["5: [check web] command: no closing quotation"]
