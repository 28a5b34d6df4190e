"""A record as it is gone through: what the node asks is answered from it, and what it decides is compared with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from carptwist.recorder.records import DECISIONS, REFUSED, Answer, Input, Record, is_input


class Difference(NamedTuple):
    """Where a replay leaves the record: what the one has and the other does not, and what happened before.

    ``recorded`` or ``replayed`` is None where one of them has nothing. ``context`` are the last inputs, the one under
    which it happened at the end.
    """

    us: int
    recorded: Record | None
    replayed: Record | None
    context: list[Record]


class Script:
    """Records, from the first to the last."""

    def __init__(self) -> None:
        self.difference: Difference | None = None
        self.inputs = 0
        self.decisions = 0
        self.muted = False  # while a keyframe is restored nothing is compared
        self.us = 0
        self.traits: dict[tuple[str, ...], Any] = {}
        self._records: list[Record] = []
        self._at = 0
        self._context: list[Record] = []

    # For whoever goes through it

    def load(self, records: list[Record]) -> None:
        """Go on with these."""
        self._records = records
        self._at = 0

    def next_input(self) -> Record | None:
        """What happens next; None at the end."""
        record = self._peek()
        if record is None:
            return None
        self._at += 1
        self.us = record[1]
        self.inputs += 1
        self._context = [*self._context, record][-6:]
        return record

    def finish_input(self) -> None:
        """The node has done all that it does."""
        record = self._peek()
        if record is not None and not is_input(record) and self.difference is None:
            self.differ(record, None)

    def ended(self) -> bool:
        """Whether the record breaks off here: what the node does now was perhaps not written any more."""
        return self._peek() is None

    def differ(self, recorded: Record | None, replayed: Record | None) -> None:
        """They go apart here."""
        if self.difference is None:
            self.difference = Difference(self.us, recorded, replayed, self._context)

    # For the node's surroundings

    def decided(self, kind: str, *fields: Any) -> None:
        """The node has decided something."""
        if self.muted or self.difference is not None:
            return
        record, replayed = self._peek(), [kind, *fields]
        if record == replayed:
            self._at += 1
            self.decisions += 1
        elif record is not None:
            self.differ(None if is_input(record) else record, replayed)

    def answer(self, kind: Answer, *key: Any, demanded: bool = False) -> Record | None:
        """What was answered to this question, or None. Where something must have been it is a difference."""
        if self.muted or self.difference is not None:
            return None
        record = self._peek()
        if record is not None and record[0] == kind and record[1 : 1 + len(key)] == list(key):
            self._at += 1
            return record
        if demanded and record is not None:
            self.differ(None if is_input(record) else record, [kind, *key])
        return None

    def trait(self, *key: str, default: Any) -> Any:
        """A property of the host as it is at this moment."""
        told = self.answer(Answer.TRAIT, list(key))
        if told is not None:
            self.traits[key] = told[2]
        return self.traits.get(key, default)

    def _peek(self) -> Record | None:
        while self._at < len(self._records):
            record = self._records[self._at]
            if record[0] != REFUSED:
                return record
            self._at += 1
        return None


__all__ = ["DECISIONS", "Difference", "Input", "Script"]
