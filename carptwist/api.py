"""The names that other programs may import. Nothing is defined here, and what is not here may change.

::

    from carptwist.api import CarpGatedService, connect
"""

from carptwist.control.client import Event
from carptwist.control.commands import (
    BadRequestError,
    BusyError,
    NobodyElseError,
    NotFoundError,
    RefusedError,
)
from carptwist.election.state import State
from carptwist.integration.client import CarpClient, connect
from carptwist.integration.demotion import Demotion
from carptwist.integration.endpoint import AwaitedAddress, CarpServerEndpoint, GatedPort
from carptwist.integration.gated import CarpGatedService
from carptwist.integration.subscription import Subscription, SubscriptionClosedError
from carptwist.vhost.tenants import Lease

__all__ = [
    "AwaitedAddress",
    "BadRequestError",
    "BusyError",
    "CarpClient",
    "CarpGatedService",
    "CarpServerEndpoint",
    "Demotion",
    "Event",
    "GatedPort",
    "Lease",
    "NobodyElseError",
    "NotFoundError",
    "RefusedError",
    "State",
    "Subscription",
    "SubscriptionClosedError",
    "connect",
]
