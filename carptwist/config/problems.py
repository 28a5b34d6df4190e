"""What is wrong with a configuration, and where.

A text never holds a pass phrase, nor any part of a line that might be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """An error or a warning, at one line of one file.

    Prints as ``conf/carp.ini:12: [vhid 1@em0] advskew = 300: must be 0 to 254``. Line 0 stands for
    the file as a whole.

    :ivar file: its name
    :ivar line: from 1 on, or 0
    :ivar text: what is wrong, and the remedy
    """

    file: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """``FILE:LINE``, as compilers print it and editors jump to it."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ConfigurationError(ValueError):
    """A configuration is refused as a whole: all its errors, and the warnings that were found on the way.

    ``str()`` is one line per error.

    :ivar errors: in the order of the lines
    :ivar warnings: likewise
    """

    def __init__(self, errors: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.errors: tuple[Problem, ...] = tuple(errors)
        self.warnings: tuple[Problem, ...] = tuple(warnings)
        super().__init__("\n".join(str(error) for error in self.errors))
