"""Why no daemon is reached, and what to look for: the words of ``carpctl``, and of programs beside a daemon."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final

WHO_MAY: Final = "it lets in root and the user that it runs as"

_REASONS: Final[Mapping[int | None, str]] = {
    errno.ENOENT: "there is no such socket: is the daemon running, and is that the socket which its [control] names?",
    errno.ECONNREFUSED: "nobody listens there: the daemon has ended, or is elsewhere",
    errno.EACCES: f"permission denied: {WHO_MAY}",
}


def why_unreachable(error: BaseException) -> str:
    """Of an attempt to connect that has failed."""
    return _REASONS.get(getattr(error, "osError", None), str(error))
