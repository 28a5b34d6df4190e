"""What a network does to frames: how late they come, how often they are lost, doubled, or overtaken."""

from __future__ import annotations

from dataclasses import dataclass, fields

#: What a switch takes to pass a short frame on.
LATENCY_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one path treats frames. Chances are from 0 to 1, times in seconds.

    ``delay`` is what every frame takes, ``jitter`` what it takes longer at most: frames less than that apart may
    overtake one another. ``reorder`` is the chance that a frame waits ``reorder_by`` longer than the others.
    """

    delay: float = LATENCY_SECONDS
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_by: float = 0.05

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 0 to 1")
        for name in ("delay", "jitter", "reorder_by"):
            if not 0.0 <= getattr(self, name) <= 3600.0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 0 to 3600 s")

    @property
    def even(self) -> bool:
        """Whether every frame is treated alike, so that nothing has to be drawn."""
        return not (self.jitter or self.loss or self.duplicate or self.reorder)

    def __str__(self) -> str:
        """What is out of the ordinary: ``loss 0.2, delay 0.01 s``."""
        ordinary = Conditions()
        said = [
            f"{each.name} {getattr(self, each.name):g}{' s' if each.name in ('delay', 'jitter') else ''}"
            for each in fields(self)
            if each.name != "reorder_by" and getattr(self, each.name) != getattr(ordinary, each.name)
        ]
        return ", ".join(said) or "a good network"


#: A wire as it should be.
GOOD = Conditions()
