"""Virtual hosts alive: the rules of :mod:`carptwist.election` on a clock, a link and a plane."""
