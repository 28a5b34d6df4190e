"""What a daemon that was killed has left behind on this host, and how it goes.

Everything is recognised by the marks of :mod:`carptwist.planes.marks`; whatever bears only some of them
is somebody else's.
"""

from __future__ import annotations

from pyroute2 import IPRoute

from carptwist.planes import addresses, routing
from carptwist.planes.marks import is_our_device
from carptwist.planes.orders import device_gone
from carptwist.planes.sysctls import Sysctls


def clean(route: IPRoute, settings: Sysctls) -> list[str]:
    """Remove it all; gives in words what there was.

    :raises PlaneError: a setting could not be put back.
    """
    found = []
    for link in tuple(route.get_links()):
        name, alias = link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_IFALIAS")
        if is_our_device(name, link.get(("linkinfo", "kind")), alias):
            with device_gone():
                route.link("del", index=link["index"])
            found.append(f"device {name}")
    for place in addresses.placed(route):
        if place.ours:
            addresses.delete(route, place.device, place.address, place.prefix_length)
            found.append(f"address {place.address}")
    rules = routing.remove_rules(route)
    if rules:
        found.append(f"{rules} routing rules")
    routing.remove_routes(route)
    found += [f"settings of {interface}" for interface in settings.recover()]
    return found
