"""The names that a shell knows: the daemon's parts, and a few commands made ready."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from carptwist.node import Node
from carptwist.tools.status_table import render
from carptwist.vhost.virtualhost import VirtualHost

ABOUT = """\
service    this daemon: carptwist.service.CarpService
node       its virtual hosts and interfaces: carptwist.node.Node
vhids      its virtual hosts by name, now: vhids["1@em0"].machine.deadline
roster     what they share: knobs, demotion ledger, counters
status()   as carpctl status
explain(v) as carpctl explain: explain("1@em0")
reload()   as carpctl reload; tells in a moment what was done
scapy()    have scapy's names here in a moment: Ether, IP, ARP, rdpcap ...
about()    this text

What is typed runs on the daemon's own thread. After 0.2 s it is ended, for the elections wait. Tab completes, Ctrl-D
ends the session. A Deferred tells when it fires.
"""


def namespace(
    service: Any,
    node: Node,
    *,
    status: Callable[[], dict[str, Any]],
    explain: Callable[[str], dict[str, Any]],
    aside: Callable[[Callable[[], Any]], Deferred[Any]],
    who: str,
) -> dict[str, Any]:
    """A fresh namespace for one session.

    :param status: gives the status, as ``carpctl status --json`` has it.
    :param explain: explains the state of a vhid, as ``carpctl explain --json`` has it.
    :param aside: does work on a thread, and fires with what it gives.
    :param who: has the session, for what is changed there.
    """
    names: dict[str, Any] = {}

    def explain_it(name: str) -> None:
        if node.find(name) is None:
            print(f"there is no virtual host {name} here: there are {', '.join(VirtualHosts(node)) or 'none'}")
        else:
            print("\n".join(_told(explain(name))))

    def reload() -> Deferred[str]:
        done: Deferred[str] = service.reload(who).addCallback(
            lambda outcomes: "; ".join(each.text for each in outcomes)
        )
        return done

    def scapy() -> Deferred[str]:
        # Importing it takes a third of a second: on a thread the elections do not wait for it.
        return aside(_scapy).addCallback(_take)

    def _take(found: Mapping[str, Any]) -> str:
        added = {name: value for name, value in found.items() if name not in names}
        names.update(added)
        return f"{len(added)} names of scapy are here"

    names.update(
        service=service,
        node=node,
        roster=node.roster,
        vhids=VirtualHosts(node),
        status=lambda: print(render(status())),
        explain=explain_it,
        reload=reload,
        scapy=scapy,
        about=lambda: print(ABOUT),
        exit=_leave,
        quit=_leave,
    )
    return names


class VirtualHosts(Mapping[str, VirtualHost]):
    """Those of a node, by name, as they come and go."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getitem__(self, name: str) -> VirtualHost:
        vhost = self._node.find(name)
        if vhost is None:
            raise KeyError(name)
        return vhost

    def __iter__(self) -> Iterator[str]:
        return (vhost.name for vhost in self._node.roster.all())

    def __len__(self) -> int:
        return len(self._node.roster.all())

    def __repr__(self) -> str:
        return ", ".join(f"{vhost.name}: {vhost.state.value}" for vhost in self.values()) or "none"


def _told(explained: dict[str, Any]) -> Iterator[str]:
    for part in explained["parts"]:
        yield part["title"]
        yield from (f"  {sentence}" for sentence in part["sentences"])


def _leave() -> None:
    # Python's own closes the daemon's standard input as well.
    raise SystemExit


def _scapy() -> dict[str, Any]:
    module = importlib.import_module("scapy.all")
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
