"""Where a program prints: colour on a terminal only, and never with NO_COLOR (https://no-color.org)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final, TextIO

_CODES: Final[Mapping[str, str]] = {"green": "32", "yellow": "33", "red": "31", "bold": "1"}
_COLOURS: Final[Mapping[str, str]] = {"MASTER": "green", "BACKUP": "yellow", "INIT": "red"}
_CLEAR = "\x1b[H\x1b[2J"


class UsageError(Exception):
    """The command line is not one; the text says why."""


class Terminal:
    """Standard output, or a file in its place.

    :param environ: the environment, for NO_COLOR and TERM.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._is_dumb = environ.get("TERM") == "dumb"
        self.coloured = self._is_terminal and not self._is_dumb and not environ.get("NO_COLOR")

    def say(self, text: str) -> None:
        """Print lines, and have them read at once."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def say_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Print a JSON value; without indent on one line."""
        self.say(json.dumps(value, indent=indent, ensure_ascii=False))

    def show_page(self, text: str) -> None:
        """Print lines in the place of what was printed before: on a terminal, as many as it has room for."""
        if not self._is_terminal or self._is_dumb:
            self.say(text)
            return
        lines = text.split("\n")
        room = self._rows() - 1  # where the cursor is to stay
        if len(lines) > room:
            lines = [*lines[: room - 1], f"({len(lines) - room + 1} more lines: make the window higher)"]
        self._stream.write(_CLEAR + "\n".join(lines) + "\n")
        self._stream.flush()

    def _rows(self) -> int:
        try:
            return max(3, os.get_terminal_size(self._stream.fileno()).lines)
        except OSError:
            return 24

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where there are any."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.coloured else text

    def state(self, text: str) -> str:
        """A state, or a cell with one, in its colour."""
        colour = _COLOURS.get(text.strip())
        return text if colour is None else self.paint(text, colour)
