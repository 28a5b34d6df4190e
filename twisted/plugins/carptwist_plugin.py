"""The twistd plugin: ``twistd carp``."""

from twisted.application.service import ServiceMaker

carp = ServiceMaker(
    "carp",
    "carptwist.tap",
    "Common Address Redundancy Protocol: shares addresses with other hosts of the LAN.",
    "carp",
)
