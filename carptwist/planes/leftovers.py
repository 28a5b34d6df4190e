"""What a daemon that was killed has left behind on this host, and how it goes.

Everything is recognised by the marks of :mod:`carptwist.planes.marks`; whatever bears only some of them
is somebody else's.
"""

from __future__ import annotations

from carptwist.planes import messages, routing
from carptwist.planes.kernel import Kernel
from carptwist.planes.marks import is_our_device
from carptwist.planes.sysctls import Sysctls


def clean(kernel: Kernel, settings: Sysctls) -> list[str]:
    """Remove it all; gives in words what there was.

    :raises PlaneError: a setting could not be put back.
    """
    devices = [link for link in kernel.links() if is_our_device(link.name, link.kind, link.alias)]
    # Each of them may go by itself meanwhile, with its parent.
    kernel.send([messages.remove_device(link.number) for link in devices], tolerant=True)
    places = kernel.our_addresses()
    kernel.send(
        [messages.take_address(place.device, place.address, place.prefix_length) for place in places], tolerant=True
    )
    rules = routing.remove_rules(kernel)
    routing.remove_routes(kernel)
    found = [f"device {link.name}" for link in devices]
    found += [f"address {place.address}" for place in places]
    if rules:
        found.append(f"{rules} routing rules")
    return found + [f"settings of {interface}" for interface in settings.recover()]
