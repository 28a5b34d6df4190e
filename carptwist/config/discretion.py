"""How a bad line is told of without telling a pass phrase.

A value of ``pass`` is never shown. But phrases slip: into a line of their own that is not indented,
under the wrong key, behind a misspelt one. So a text is shown only where it is improbable that it
is one; the number of the line is always there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from carptwist.config import ini
from carptwist.config.keys import Key, SectionKind

_LONGEST_SHOWN = 60
_COMMENT = re.compile(r"[ \t][#;]")
_LIKE_AN_ADDRESS = re.compile(r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*([/%][0-9A-Za-z.]*)?")


def shown(text: str) -> str:
    """A text as it can stand in one line on a terminal."""
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_value(key: Key, text: str, indented: bool) -> str:
    """`` = VALUE``, or nothing where the value is a phrase, might be one that has slipped, or has a password in it."""
    if key.secret or (key.name != "pass_file" and "pass" in text.lower()) or (key.name == "url" and "@" in text):
        return ""
    if indented and not _LIKE_AN_ADDRESS.fullmatch(text):
        return ""
    return f" = {shown(text)}"


def comment_advice(key: Key, text: str) -> str:
    """What to add to the reason where a comment behind a value made it bad."""
    return "" if key.secret or not _COMMENT.search(text) else "; a comment stands on a line of its own"


def follows_phrase(setting: ini.Setting | None, line: int) -> bool:
    """Whether a phrase is directly above the line: this one may then be another one, not indented."""
    return setting is not None and setting.key.lower().startswith("pass") and setting.last_line + 1 == line


def is_setting(text: str, kind: SectionKind) -> bool:
    """Whether an indented line is probably a setting of the section."""
    name, equals, _ = text.partition("=")
    return bool(equals) and kind.key(name.strip(ini.BLANKS)) is not None


def unknown_key(name: str, known: Iterable[str], after_phrase: bool) -> tuple[str, str | None]:
    """What to tell of an unknown key, and the one that was probably meant."""
    keys = list(known)
    meant = nearest(name, keys)
    if name.lower().startswith("pass") or (after_phrase and meant is None):
        # `passsecret=…`, and a phrase with an equals sign in it on a line that should have been indented.
        told = "unknown key"
    else:
        told = f"{shown(name)} is an unknown key"
    if meant is None:
        return f"{told}: there are {', '.join(keys)}", None
    return f"{told}: did you mean {meant}?", meant


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one is probably a misspelling of."""
    return next(iter(get_close_matches(word.lower(), list(known), n=1)), None)
