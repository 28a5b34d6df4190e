"""Bytes to values and back: what is on the wire, and nothing about what it means.

Data comes in as one whole Ethernet frame and leaves as a NamedTuple, as a counted
:class:`~carptwist.wire.refusal.Refusal`, or as None where the frame is none of ours. No function
here raises for anything that a peer can send; our own misuse raises ValueError.

Nothing of Twisted, of the operating system, of time or of randomness is imported here.
"""
