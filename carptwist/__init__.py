"""CARP, the Common Address Redundancy Protocol, as a Twisted network service."""

__version__ = "0.1.0"
