"""A demotion source: this host is not fit to be MASTER while it has more to do than it can.

    [check load]
    plugin = load
    argument = 8.0
    demote = 100

The argument is the load average of the last minute that is too much.
"""

import os
from typing import Any

from zope.interface import implementer

from carptwist.api import CheckConfig, Result
from carptwist.interfaces import IDemotionSource


@implementer(IDemotionSource)
class Load:
    """Asked every ``interval`` seconds; what it has to do is done at once, so that it gives no Deferred."""

    def __init__(self, config: CheckConfig, reactor: Any) -> None:
        self._limit = float(config.argument[0])

    def look(self) -> Result:
        load, _, _ = os.getloadavg()
        return Result(load <= self._limit, f"load average {load:.2f}")

    def stop(self) -> None:
        pass
