"""A scheduler that runs on one host of several: ``twistd -n -y scheduler.py``, on each of them.

Every 50 ms it says so, on the host that is MASTER of vhid 1 on em0; put your own work in its place. SCHEDULER_CONTROL
names another control socket than the daemon's default one.
"""

import os
import time

from twisted.application.internet import TimerService
from twisted.application.service import Application
from twisted.internet import reactor

from carptwist.api import CarpGatedService

CONTROL = os.environ.get("SCHEDULER_CONTROL", "/run/carptwist/control.sock")


def work() -> None:
    if jobs.is_open:  # this program may have stood still, and another host works since
        print(f"worked at {time.time():.6f}", flush=True)


application = Application("scheduler")
jobs = CarpGatedService(reactor, "1@em0", control=CONTROL)
TimerService(0.05, work).setServiceParent(jobs)
jobs.setServiceParent(application)
