"""The endpoint plugin: ``carp:VHID@IF:INNER``."""

from carptwist.integration.strings import CarpServerParser

carp_server_endpoint = CarpServerParser()
