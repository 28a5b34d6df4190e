"""A Python prompt inside the daemon: what is typed runs on the reactor's thread, within its bound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import CodeType
from typing import Any

from twisted.conch.manhole import Manhole, ManholeInterpreter

from carptwist.admin.stopwatch import Stopwatch

_TAB = b"\t"
_KEY = r"""\[(?:'[^']*'|"[^"]*")\]"""
#: What may stand before the cursor when Tab is hit: names with dots and constant keys between, and a part of a name.
_LAST = re.compile(rf"(?:(?P<path>\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|{_KEY})*)\.)?(?P<word>(?:\b[A-Za-z_]\w*)?)$")
_STEP = re.compile(r"(?P<name>[A-Za-z_]\w*)|\[(?P<key>'[^']*'|\"[^\"]*\")\]")
_MOST_SHOWN = 80
_LONGEST_TOLD = 60


class Interpreter(ManholeInterpreter):
    """Runs code under a stopwatch."""

    handler: Console

    def runcode(self, *arguments: Any, **named: Any) -> None:
        code: CodeType = arguments[0]

        def work() -> None:
            try:
                ManholeInterpreter.runcode(self, code)
            except SystemExit:
                # exit() means this session, never the daemon.
                self.handler.handle_QUIT()

        self.handler.stopwatch.run(self.handler.who, _shortened(b"\n".join(self.buffer)), work)


class Console(Manhole):
    """One session.

    :param namespace: the names that it knows, and its own from now on.
    :param who: who has logged in, for the log.
    """

    def __init__(self, namespace: dict[str, Any], stopwatch: Stopwatch, who: str) -> None:
        super().__init__()
        self.namespace = namespace
        self.stopwatch = stopwatch
        self.who = who

    def connectionMade(self) -> None:
        super().connectionMade()
        self.interpreter = Interpreter(self, self.namespace)

    def _deliverBuffer(self, buf: list[bytes]) -> None:
        # Conch forgets to join it when a Deferred fires while something stands in the line; what is typed next then
        # ends the session.
        super()._deliverBuffer(b"".join(buf) if isinstance(buf, list) else buf)

    def handle_TAB(self) -> None:
        before = b"".join(self.lineBuffer[: self.lineBufferIndex]).decode(errors="replace")
        if not before.strip():
            for _ in range(4):
                self.characterReceived(b" ", False)
            return
        found: list[str] = []
        self.stopwatch.run(self.who, "Tab", lambda: found.extend(completions(before, self.interpreter.locals)))
        _, word = _word(before)
        common = _common(found)
        if len(common) > len(word):
            for character in common[len(word) :]:
                self.characterReceived(character.encode(), False)
        elif len(found) > 1:
            self.terminal.nextLine()
            self.terminal.write("  ".join(found[:_MOST_SHOWN]).encode())
            self.terminal.nextLine()
            self.drawInputLine()


def completions(before: str, names: Mapping[str, Any]) -> list[str]:
    """What the last name of a text may become, sorted. What begins with an underscore has to be asked for."""
    path, word = _word(before)
    there = set(names) if not path else set(dir(_value(path, names)))
    return sorted(name for name in there if name.startswith(word) and (word or not name.startswith("_")))


def _word(before: str) -> tuple[str, str]:
    """The path before the last dot, and what is behind it: ``vhids["1@em0"].mach`` -> ``vhids["1@em0"]``, ``mach``."""
    match = _LAST.search(before)
    return (match["path"] or "", match["word"]) if match is not None else ("", "")


def _value(path: str, names: Mapping[str, Any]) -> Any:
    """What a path leads to, None for nothing."""
    value: Any = None
    for number, step in enumerate(_STEP.finditer(path)):
        try:
            if number == 0:
                value = names[step["name"]]
            else:
                value = value[step["key"][1:-1]] if step["key"] else getattr(value, step["name"])
        except (KeyError, AttributeError, TypeError, IndexError):
            return None
    return value


def _common(names: list[str]) -> str:
    """How all of them begin."""
    if not names:
        return ""
    least, most = min(names), max(names)
    length = next(
        (place for place, pair in enumerate(zip(least, most, strict=False)) if pair[0] != pair[1]), len(least)
    )
    return least[:length]


def _shortened(source: bytes) -> str:
    text = repr(source.decode(errors="replace"))
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}..."
