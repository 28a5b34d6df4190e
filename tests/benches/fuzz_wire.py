"""A million random, truncated, altered and spliced frames through every reader of the wire.

Run as ``python -m tests.benches.fuzz_wire [--frames N] [--seed N]``. The same seed gives the same frames. Prints what
the readers made of them and how many frames a second that was; an exception ends it with the frame that made it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import islice
from random import Random

from carptwist.wire import advertisement, arp, carp, neighbor
from carptwist.wire.authentication import Authenticator
from carptwist.wire.refusal import Refusal
from tests.wire.golden import ADDRESSES, PHRASE, every_frame
from tests.wire.mutation import mutated

READERS = (advertisement.read, arp.read, neighbor.read)
#: Frames are made in portions, so that making them is not measured.
PORTION = 10_000
RECEIVED = 200_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=112)
    arguments = parser.parse_args()
    kinds: Counter[str] = Counter()
    source = islice(mutated(every_frame(), Random(arguments.seed)), arguments.frames)
    seconds = 0.0
    while portion := list(islice(source, PORTION)):
        begun = time.perf_counter()
        for frame in portion:
            for read in READERS:
                try:
                    said = read(frame)
                except Exception:
                    print(f"{read.__module__}.read raised for {frame.hex()}", file=sys.stderr)
                    raise
                if said is not None:
                    kinds[f"refused: {said.cause.value}" if isinstance(said, Refusal) else type(said).__name__] += 1
        seconds += time.perf_counter() - begun
    kinds["nobody's"] = arguments.frames - kinds.total()
    for kind, count in kinds.most_common():
        print(f"{count:10,}  {kind}")
    print(f"{arguments.frames:10,}  frames through {len(READERS)} readers: {arguments.frames / seconds:,.0f} frames/s")
    print(f"{'':10}  a right advertisement, read: {reading():.2f} us; read and verified: {receiving():.2f} us")
    return 0


def reading() -> float:
    """Microseconds for one right advertisement to be read."""
    frame = every_frame()[3]
    read = advertisement.read
    begun = time.perf_counter()
    for _ in range(RECEIVED):
        read(frame)
    return (time.perf_counter() - begun) / RECEIVED * 1e6


def receiving() -> float:
    """Microseconds for one right advertisement to be read and its digest verified."""
    frame = every_frame()[3]
    authenticator = Authenticator(PHRASE, 7, ADDRESSES["freebsd"])
    begun = time.perf_counter()
    for _ in range(RECEIVED):
        heard = advertisement.read(frame)
        assert isinstance(heard, advertisement.Heard)
        said: carp.Advertisement = heard.advertisement
        assert authenticator.verify(said.counter, said.digest)
    return (time.perf_counter() - begun) / RECEIVED * 1e6


if __name__ == "__main__":
    sys.exit(main())
