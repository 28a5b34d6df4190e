"""``[webhook NAME]``: text -> schema, and no secret in any text."""

from __future__ import annotations

import pytest

from carptwist.config.reactions import WebhookConfig
from carptwist.config.reader import ConfigurationError, Reading, read

VHID = "[vhid 1@em0]\naddress = 192.168.1.1/24\npass = secret\n"
URL = "url = https://hooks.example/T0/s3cret"


def reading(*lines: str, files: dict[str, str] | None = None) -> Reading:
    def read_file(path: str) -> str:
        try:
            return (files or {})[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return read(f"{VHID}[webhook ops]\n" + "\n".join(lines) + "\n", "/etc/carp.ini", read_file)


def webhook(*lines: str, **settings: dict[str, str]) -> WebhookConfig:
    (found,) = reading(*lines, **settings).configuration.webhooks
    assert isinstance(found, WebhookConfig)
    return found


def errors(*lines: str, **settings: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        reading(*lines, **settings)
    told = [f"{problem.line}: {problem.text}" for problem in refused.value.errors]
    assert "s3cret" not in "".join(told)
    return told


def test_a_whole_one() -> None:
    """Several headers, a template, a secret."""
    found = webhook(
        URL,
        "header = Authorization: Bearer s3cret",
        "         X-Room: 1",
        'body = {"text": "$text"}',
        "secret = s3cret",
    )
    assert found.url.text.endswith("/T0/s3cret")
    assert [(name, value.text) for name, value in found.headers] == [
        ("Authorization", "Bearer s3cret"),
        ("X-Room", "1"),
    ]
    assert found.secret is not None
    assert found.secret.text == "s3cret"
    assert "s3cret" not in repr(found)


def test_statuses_that_are_tried_again() -> None:
    """One or a range on each line."""
    assert webhook(URL).retries == ()
    assert webhook(URL, "retry = 422", "        450-459").retries == ((422, 422), (450, 459))
    assert errors(URL, "retry = soon") == [
        "6: [webhook ops] retry = soon: must be a status code, or two with a dash between them, such as 200-299"
    ]


def test_the_secret_may_be_in_a_file() -> None:
    """Without the end of its line; then not here as well."""
    found = webhook(URL, "secret_file = ops", files={"/etc/ops": "s3cret\n"})
    assert found.secret is not None
    assert found.secret.text == "s3cret"
    secrets = reading(URL, "secret_file = ops", files={"/etc/ops": "s3cret\n"}).secrets
    assert secrets[-1] == ("/etc/ops", 6, "a secret")
    both = errors(URL, "secret = s3cret", "secret_file = ops", files={"/etc/ops": "s3cret"})
    assert both == ["7: [webhook ops] secret_file: together with secret: leave one of them"]
    assert errors(URL, "secret_file = ops", files={"/etc/ops": "\n"}) == [
        "6: [webhook ops] secret_file: holds no secret"
    ]


def test_what_is_wrong_is_told_without_telling_it() -> None:
    """Neither the address nor a header nor a secret is repeated."""
    assert errors("match = x") == ["4: [webhook ops] url is missing"]
    assert errors("url = ftp://hooks.example/s3cret") == ["5: [webhook ops] url: must begin with http:// or https://"]
    assert len(errors(URL, "header = s3cret")) == 1
    assert len(errors(URL, "header = Content-Length: 3")) == 1
    assert "is no JSON" in errors(URL, "body = {text: $text}")[0]
