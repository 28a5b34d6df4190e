"""Putting addresses on a device, taking them off, and finding those that somebody else has put somewhere."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from pyroute2 import NetlinkError

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes import PlaneError, messages, routing
from carptwist.planes.entries import Placed
from carptwist.planes.kernel import Kernel


def refuse_foreign(
    kernel: Kernel, wanted: Iterable[AddressWithPrefix], mine: int, excepted: Iterable[object] = ()
) -> None:
    """Somebody else's address is not ours to share.

    :param mine: a device that is ours as a whole; 0 if there is none.
    :param excepted: addresses that are ours though they do not bear our mark, as on kernels before 5.18.
    :raises PlaneError: a wanted address is on this host already, by another hand.
    """
    shared = {address.ip for address in wanted} - set(excepted)
    for place in kernel.addresses():
        # A link-local address is another one on each link.
        if place.address in shared and place.device != mine and not place.address.is_link_local:
            link = kernel.link_at(place.device)
            name = link.name if link is not None else "a device"
            raise PlaneError(
                f"{place.address} is on {name} of this host already: a shared address must not be configured "
                f"elsewhere: ip address del {place.address}/{place.prefix_length} dev {name}"
            )


def converge(
    kernel: Kernel, device: int, there: Iterable[Placed], wanted: Iterable[AddressWithPrefix], is_up: bool
) -> tuple[AddressWithPrefix, ...]:
    """Make a device of ours carry the wanted addresses and no others; gives those that must wait until it is up.

    An IPv6 address that is put on a device which is down is local to the host for good: the route that says so can be
    removed, but does not come back with "link up". Once it has been there in an "up" it comes and goes with the link,
    unless it is a link-local one: those are gone after each "link down".
    """
    have = {(place.address, place.prefix_length) for place in there}
    want = {(address.ip, address.network.prefixlen): address for address in wanted}
    # Those that go first: an address may be there with another prefix length.
    kernel.send((messages.take_address(device, *place) for place in have - want.keys()), tolerant=True)
    missing = [address for key, address in want.items() if key not in have]
    late = tuple(address for address in missing if address.version == 6 and not is_up)
    now = [address for address in missing if address not in late]
    # On a device that is down they are local to the host all the same, and other interfaces answer for them: not for
    # longer than it takes the kernel to go from one request to the next.
    unlocal = [] if is_up else routing.unlocal4(device, now)
    try:
        kernel.send([*(messages.put_address(device, address) for address in now), *unlocal])
    except NetlinkError as error:
        if error.code != errno.ESRCH:  # it was not local
            raise
    return late
