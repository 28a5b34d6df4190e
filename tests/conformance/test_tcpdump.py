"""What tcpdump(1) makes of our advertisements, as the manual pages have it: ``tcpdump -T carp``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from ipaddress import ip_address
from pathlib import Path

import pytest

from carptwist.pcap import Capture
from carptwist.wire.advertisement import frame4, frame6
from carptwist.wire.carp import Advertisement, virtual_mac

SAID = Advertisement(vhid=7, advskew=100, advbase=1, demote=0, counter=0x1122334455667788, digest=bytes(range(20)))


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="there is no tcpdump: apt-get install tcpdump")
@pytest.mark.parametrize(("dscp", "tos"), [(56, "0xe0"), (4, "0x10"), (0, "0x0")])
def test_it_decodes_them(dscp: int, tos: str) -> None:
    """Both families, right checksums and all; a DSCP of 4 is the TOS that was once called low delay."""
    source_mac = virtual_mac(7)
    frames = [
        frame4(SAID, source_mac=source_mac, source=ip_address("192.0.2.2").packed, dscp=dscp),
        frame6(SAID, source_mac=source_mac, source=ip_address("fe80::2").packed, dscp=dscp),
    ]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "said.pcap"
        capture = Capture(path)
        for frame in frames:
            capture.write(0.0, frame)
        capture.close()
        words = ["tcpdump", "-n", "-e", "-vv", "-t", "-T", "carp", "-r", str(path)]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    decoded = "CARPv2-advertise 36: vhid=7 advbase=1 advskew=100 authlen=7 counter=1234605616436508552"
    assert told.count(decoded) == 2, told
    assert f"tos {tos}," in told
    assert "ttl 255" in told
    assert "hlim 255" in told
    assert told.count("00:00:5e:00:01:07 >") == 2
    assert "bad" not in told
