"""One interface of this host, as far as its virtual hosts are concerned: there or not, up or not, with a voice or not.

::

    ILinkMonitor --> Attachment --> VirtualHost.link_changed(link, voice)   for each vhid of the interface
                         |
                         +--> opens a voice when the device appears, closes it when it goes away

An interface that does not exist yet is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.interfaces import ILinkMonitor, IVoice, LinkState
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.hardware import hardware_fault
from carptwist.vhost.virtualhost import VirtualHost

RETRY_SECONDS = 5.0


class Attachment:
    """Keeps the vhids of one interface informed.

    :param open_voice: opens the sockets on a device that exists; raises OSError if it cannot.
    """

    _log = Logger()

    def __init__(
        self,
        interface: str,
        vhosts: Mapping[int, VirtualHost],
        *,
        monitor: ILinkMonitor,
        clock: IReactorTime,
        open_voice: Callable[[LinkState], IVoice],
    ) -> None:
        self.interface = interface
        self._vhosts = vhosts
        self._monitor = monitor
        self._open_voice = open_voice
        self._voice: IVoice | None = None
        self._link = LinkState(interface)
        self._retry = Alarm(clock, self._look)
        self._clock = clock
        self._unwatch: Callable[[], None] | None = None
        self.waiting = False  # for an interface that was not there at the start

    def start(self) -> None:
        """Look at the interface now, and from now on."""
        self._unwatch = self._monitor.watch(self.interface, self._changed)
        self._look()
        self.waiting = not self._link.exists

    def welcome(self, vhost: VirtualHost) -> None:
        """One more vhid runs on this interface, which has started before."""
        self.sharing_changed()
        vhost.link_changed(self._link, self._voice)
        vhost.account_for_link()

    def sharing_changed(self) -> None:
        """Other addresses than before are shared here: what was the host's own may be one of them now."""
        if self._voice is not None:
            self._voice.link_changed(self._link)

    def stop(self) -> None:
        """Close the voice; the vhids must have stopped before, for they want to say goodbye."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._retry.cancel()
        self._close()

    def _look(self) -> None:
        self._changed(self._monitor.state(self.interface))

    def _changed(self, link: LinkState) -> None:
        fault = hardware_fault(link) if link.exists else None
        if link.index != self._link.index:
            self._close()
            if fault is not None:
                self._log.warn("carp: {fault}", fault=fault)
        self._link = link
        if link.exists and self.waiting:
            self.waiting = False
            self._log.info("carp: interface {interface} is there", interface=self.interface)
        if link.exists and fault is None and self._voice is None:
            self._open(link)
        if self._voice is not None:
            self._voice.link_changed(link)
        vhosts = tuple(self._vhosts.values())
        for vhost in vhosts:
            vhost.link_changed(link, self._voice)
        # Only when all of them know: a change of demotion makes every MASTER advertise, and none must do so on a link
        # that is gone.
        for vhost in vhosts:
            vhost.account_for_link()

    def _open(self, link: LinkState) -> None:
        try:
            self._voice = self._open_voice(link)
        except OSError as error:
            self._log.warn(
                "carp: {interface}: cannot open a packet socket: {error}", interface=self.interface, error=error
            )
            self._retry.set(self._clock.seconds() + RETRY_SECONDS)

    def _close(self) -> None:
        voice, self._voice = self._voice, None
        if voice is not None:
            voice.close()
