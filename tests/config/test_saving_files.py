"""A configuration file that is written: whole or not at all, whose it was, and as secret as it was."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from carptwist.config.schema import Configuration
from carptwist.configuration import SavingError, load, save

TEXT = "# mine\n[vhid 1@em0]\naddress = 192.0.2.1/24\npass = QXZ\nadvskew = 1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "carp.ini"
    file.touch(mode=0o600)
    file.write_text(TEXT)
    return file


def wanted(loaded: Configuration, advskew: int = 7) -> Configuration:
    return replace(loaded, vhids=(replace(loaded.vhids[0], advskew=advskew),))


def test_the_file_says_what_is_wanted(path: Path) -> None:
    """And nothing else is in its directory."""
    loaded = load(str(path)).configuration
    save(str(path), loaded, wanted(loaded))
    assert path.read_text() == TEXT.replace("advskew = 1", "advskew = 7")
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o644])
def test_mode_and_owner_stay(path: Path, mode: int) -> None:
    """Whoever writes it."""
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    path.chmod(mode)
    before = path.stat()
    loaded = load(str(path)).configuration
    save(str(path), loaded, wanted(loaded))
    after = path.stat()
    assert after.st_ino != before.st_ino
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_attributes_stay(path: Path) -> None:
    """Access control lists are kept in such."""
    try:
        os.setxattr(path, "user.carptwist", b"1")
    except OSError:
        assert os.listxattr(path) == []  # a file system without them has none to lose
    before = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    loaded = load(str(path)).configuration
    save(str(path), loaded, wanted(loaded))
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == before


def test_a_link_stays_a_link(path: Path) -> None:
    """What it leads to is written."""
    link = path.parent / "link.ini"
    link.symlink_to(path.name)
    loaded = load(str(link)).configuration
    save(str(link), loaded, wanted(loaded))
    assert link.is_symlink()
    assert "advskew = 7" in path.read_text()


def test_a_file_that_somebody_has_edited_is_left_alone(path: Path) -> None:
    """What was edited would be half in force and half overwritten. A comment more is no change."""
    loaded = load(str(path)).configuration
    edited = TEXT.replace("192.0.2.1", "192.0.2.2")
    path.write_text(edited)
    with pytest.raises(SavingError, match="was changed since it was read"):
        save(str(path), loaded, wanted(loaded))
    assert path.read_text() == edited
    path.write_text(TEXT + "# one more\n")
    save(str(path), loaded, wanted(loaded))
    assert path.read_text().endswith("advskew = 7\n# one more\n")


@pytest.mark.parametrize("text", ["[vhid 1@em0]\nadress = QXZ\n", "\udcff", None])
def test_a_file_that_cannot_be_read_is_left_alone(path: Path, text: str | None) -> None:
    """Bad, no text, or gone."""
    loaded = load(str(path)).configuration
    if text is None:
        path.unlink()
    else:
        path.write_text(text, errors="surrogateescape")
    with pytest.raises(SavingError, match="cannot be read any more") as caught:
        save(str(path), loaded, wanted(loaded))
    assert "QXZ" not in str(caught.value)
    assert os.listdir(path.parent) == ([path.name] if text is not None else [])


def test_what_cannot_be_written_down_leaves_the_file(path: Path) -> None:
    """And nothing beside it."""
    loaded = load(str(path)).configuration
    with pytest.raises(SavingError, match="has no address"):
        save(str(path), loaded, replace(loaded, vhids=(replace(loaded.vhids[0], addresses=()),)))
    assert path.read_text() == TEXT
    assert os.listdir(path.parent) == [path.name]
