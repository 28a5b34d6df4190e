"""Files on disk become a configuration, and files that others can read are told of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carptwist.config.schema import Phrase
from carptwist.configuration import LONGEST_FILE, ConfigurationError, load, readers

TEXT = "[vhid 1@em0]\naddress = 192.168.1.1/24\npass = secret\n"


def write(path: Path, contents: str | bytes, mode: int = 0o600) -> str:
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    path.chmod(mode)
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value)


def test_a_file_is_loaded_with_the_phrases_beside_it(tmp_path: Path) -> None:
    """Relative paths begin in the directory of the file, and what only its owner reads is not warned about."""
    write(tmp_path / "phrases", "one\ntwo\n")
    loaded = load(write(tmp_path / "carp.ini", TEXT.replace("pass = secret", "pass_file = phrases")))
    assert loaded.configuration.vhids[0].phrases == (Phrase(b"one"), Phrase(b"two"))
    assert loaded.warnings == ()
    assert loaded.vhid_lines == {"1@em0": 1}


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    """Missing, a directory, too long and not text: each as one line that names the file, none with its contents."""
    path = str(tmp_path / "carp.ini")
    assert refusal(path) == f"{path}: cannot be read: No such file or directory"
    assert refusal(str(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"
    write(tmp_path / "carp.ini", b"#" * (LONGEST_FILE + 1))
    assert refusal(path) == f"{path}: cannot be read: longer than {LONGEST_FILE} octets"
    write(tmp_path / "carp.ini", b"[vhid 1@em0]\npass = sec\xffret\n")
    assert refusal(path) == f"{path}:2: not UTF-8 text: save the file in that encoding"


def test_a_file_may_have_its_whole_length(tmp_path: Path) -> None:
    """The limit itself is within the limit."""
    assert load(write(tmp_path / "carp.ini", TEXT + "#" * (LONGEST_FILE - len(TEXT)))).warnings == ()


def test_a_phrase_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    """No more than the limit is ever read."""
    path = write(tmp_path / "carp.ini", TEXT.replace("pass = secret", "pass_file = /dev/zero"))
    told = f"{path}:3: [vhid 1@em0] pass_file = /dev/zero: cannot read /dev/zero: longer than {LONGEST_FILE} octets"
    assert refusal(path) == told


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    """Where that is asked for: nobody may ever write to a pipe. Neither to one that a configuration names."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = write(tmp_path / "carp.ini", TEXT.replace("pass = secret", "pass_file = pipe"))
    for which, told in (
        (str(pipe), f"{pipe}: cannot be read"),
        ("/dev/zero", "/dev/zero: cannot be read"),
        (path, f"{path}:3: [vhid 1@em0] pass_file = pipe: cannot read "),
    ):
        with pytest.raises(ConfigurationError) as refused:
            load(which, waits=False)
        assert str(refused.value).startswith(told)
        assert str(refused.value).endswith(": not a regular file")


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("url = https://hooks.example/services/T0/B0/token", 5),
        ("url = https://hooks.example/?key=1", 5),
        ("url = http://127.0.0.1:8000/\nheader = Authorization: Bearer token", 6),
        ("url = http://127.0.0.1:8000\nsecret = token", 6),
        ("url = http://127.0.0.1:8000/", None),
    ],
)
def test_a_webhook_that_everybody_can_read_is_warned_about(tmp_path: Path, lines: str, line: int | None) -> None:
    """Its address may have a token in it, unless there is nothing but a server in it."""
    (tmp_path / "phrases").touch(mode=0o600)
    (tmp_path / "phrases").write_text("one")
    text = TEXT.replace("pass = secret", "pass_file = phrases") + f"[webhook chat]\n{lines}\n"
    path = write(tmp_path / "carp.ini", text, 0o644)
    told = f"{path}:{line}: {path} holds a secret and can be read by everybody (mode 0644): chmod 600 {path}"
    assert [str(warning) for warning in load(path).warnings] == ([told] if line else [])


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_phrase_that_everybody_can_read_is_warned_about(tmp_path: Path, mode: int) -> None:
    """With the line that has the first phrase, the mode, and the remedy."""
    path = write(tmp_path / "carp.ini", TEXT + TEXT.replace("1@", "2@").replace("1.1/", "1.2/"), mode)
    assert [str(warning) for warning in load(path).warnings] == [
        f"{path}:3: {path} holds a pass phrase and can be read by everybody (mode {mode:04o}): chmod 600 {path}"
    ]


def test_a_phrase_file_that_everybody_can_read_is_warned_about_once(tmp_path: Path) -> None:
    """At the line that names it first, however many virtual hosts do; the configuration itself then holds none."""
    phrases = write(tmp_path / "phrases", "one", 0o644)
    text = TEXT.replace("pass = secret", "pass_file = phrases")
    path = write(tmp_path / "carp.ini", text + text.replace("1@", "2@").replace("1.1/", "1.2/"), 0o644)
    assert [str(warning) for warning in load(path).warnings] == [
        f"{path}:3: {phrases} holds a pass phrase and can be read by everybody (mode 0644): chmod 600 {phrases}"
    ]


@pytest.mark.parametrize(
    ("mode", "user", "group", "told"),
    [
        (0o600, 0, 12345, ""),
        (0o640, 0, 0, ""),
        (0o640, 1000, 0, ""),
        (0o640, 1000, 1000, ""),
        (0o640, 0, 1000, "its group (mode 0640)"),
        (0o640, 1000, 1001, "its group (mode 0640)"),
        (0o644, 1000, 1000, "everybody (mode 0644)"),
        (0o622, 1000, 1001, ""),
    ],
)
def test_a_group_of_others_can_read(mode: int, user: int, group: int, told: str) -> None:
    """Group 0 is root's own, and a group with the number of its user that user's; the members of another are others."""
    assert readers(os.stat_result((0o100000 | mode, 0, 0, 1, user, group, 0, 0, 0, 0))) == told


def test_what_holds_no_phrase_may_be_read_by_everybody(tmp_path: Path) -> None:
    """The warning about permissions is about phrases alone."""
    path = write(tmp_path / "carp.ini", TEXT.replace("secret", ""), 0o644)
    assert [warning.line for warning in load(path).warnings] == [3]
    assert "no pass phrase" in load(path).warnings[0].text
