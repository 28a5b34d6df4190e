"""What a webhook says: a change -> JSON, and who signs it.

::

    {"sequence": 7, "started": "2026-…", "time": "2026-…", "host": "a", "event": "state",
     "subsystem": "1@em0", "vhid": 1, "interface": "em0", "previous": "BACKUP", "state": "MASTER",
     "reason": "master timed out", "by": 0, "demotion": 0, "text": "a: 1@em0: BACKUP -> MASTER (master timed out)"}

Every key is always there. With a template these values take the place of ``$name`` within its strings, which become no
other JSON by that, whatever is in them.
"""

from __future__ import annotations

import hmac
import json
from string import Template
from typing import Any, NamedTuple


class Notice(NamedTuple):
    """A change of state, or (``event`` is "demotion") of the demotion; times are ISO 8601."""

    sequence: int
    started: str
    time: str
    host: str
    event: str
    subsystem: str
    vhid: int | None
    interface: str
    previous: str
    state: str
    reason: str
    by: int
    demotion: int

    @property
    def text(self) -> str:
        """One line for people."""
        if self.event == "demotion":
            return f"{self.host}: demoted by {self.by} to {self.demotion} ({self.reason})"
        return f"{self.host}: {self.subsystem}: {self.previous} -> {self.state} ({self.reason})"

    def values(self) -> dict[str, Any]:
        """Everything, by name."""
        return {**self._asdict(), "text": self.text}


def body(notice: Notice, template: str | None) -> bytes:
    """What is sent. ``template`` is JSON."""
    values = notice.values()
    if template is None:
        said: Any = values
    else:
        said = _filled(
            json.loads(template), {name: "" if value is None else str(value) for name, value in values.items()}
        )
    return json.dumps(said, ensure_ascii=False).encode()


def _filled(part: Any, values: dict[str, str]) -> Any:
    if isinstance(part, str):
        return Template(part).safe_substitute(values)
    if isinstance(part, list):
        return [_filled(each, values) for each in part]
    if isinstance(part, dict):
        return {key: _filled(each, values) for key, each in part.items()}
    return part


def signature(secret: str, octets: bytes) -> str:
    """The value of the header ``X-Carptwist-Signature``."""
    return f"sha256={hmac.new(secret.encode(), octets, 'sha256').hexdigest()}"
