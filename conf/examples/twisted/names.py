"""A name server: ``twistd -n -y names.py``, on each host. NAMES_ADDRESS, NAMES_PORT, NAMES_ZONE and NAMES_CONTROL say
where and what.

TCP has an endpoint. UDP has none, Twisted's endpoints are for streams: a UDPServer is gated as a whole. It answers as
soon as the endpoint does; three seconds of settling are for work that must not be done twice, and a question may be
answered by two.
"""

import os
from typing import Any

from twisted.application.internet import UDPServer
from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet import reactor
from twisted.names.authority import BindAuthority
from twisted.names.dns import DNSDatagramProtocol
from twisted.names.server import DNSServerFactory

from carptwist.api import CarpGatedService

VHID = "1@em0"
ADDRESS = os.environ.get("NAMES_ADDRESS", "192.0.2.1")
PORT = int(os.environ.get("NAMES_PORT", "53"))
ZONE = os.environ.get("NAMES_ZONE", "/etc/names.zone")
CONTROL = os.environ.get("NAMES_CONTROL", "/run/carptwist/control.sock")
SETTLE_SECONDS = 0.03

names: Any = DNSServerFactory([BindAuthority(ZONE)])
application = Application("names")

datagrams = CarpGatedService(reactor, VHID, control=CONTROL, settle_seconds=SETTLE_SECONDS)
UDPServer(PORT, DNSDatagramProtocol(names), ADDRESS).setServiceParent(datagrams)
datagrams.setServiceParent(application)

streams = service(rf"carp:{VHID}:tcp\:{PORT}\:interface={ADDRESS}:control={CONTROL}", names)
streams.setServiceParent(application)
