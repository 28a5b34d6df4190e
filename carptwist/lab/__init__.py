"""A laboratory: LANs of network namespaces, with hosts in which real daemons run, and instruments on them.

For ``carptwist lab``, for the tests, and for whoever wants to try two real daemons on one machine. It needs Linux and
either root or user namespaces; see :func:`carptwist.lab.namespaces.why_not`.

::

    with Lab() as lab:
        lan = lab.lan()
        a, b, client = lab.host("a"), lab.host("b"), lab.host("client")
        for host in (a, b, client):
            lan.connect(host, "em0", [f"192.0.2.{host.number + 1}/24"])
        with Watcher(lan) as watcher, Prober(client, ["192.0.2.1"]) as prober:
            ...
"""

from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import LabError, why_not

__all__ = ["Lab", "LabError", "why_not"]
