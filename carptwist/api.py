"""The names that other programs may import. Nothing is defined here, and what is not here may change.

::

    from carptwist.api import CarpGatedService, connect             beside a daemon, which is asked
    from carptwist.api import CarpService, configuration_of_file    instead of one, in this program
    from carptwist.api import Change, Result, PlaneError            for plug-ins

The interfaces that plug-ins provide are in :mod:`carptwist.interfaces`; all the others there may change as well.
"""

from carptwist.checks.health import Result
from carptwist.config.health import CheckConfig, SyncConfig
from carptwist.config.ranges import StatusRange
from carptwist.config.reactions import DevdConfig, FileMode, Hidden, HookConfig, WebhookConfig
from carptwist.config.schema import (
    Configuration,
    ControlConfig,
    Dialect,
    Knobs,
    LinkConfig,
    Phrase,
    PlaneKind,
    ReplayMode,
    TlsListen,
    VirtualHostConfig,
)
from carptwist.config.shells import ManholeConfig
from carptwist.configuration import ConfigurationError, Problem, configuration_of_file, configuration_of_text
from carptwist.control.client import Event
from carptwist.control.commands import (
    BadRequestError,
    BusyError,
    NobodyElseError,
    NotFoundError,
    RefusedError,
)
from carptwist.election.state import State
from carptwist.hooks.script import Change
from carptwist.integration.client import CarpClient, connect
from carptwist.integration.demotion import Demotion
from carptwist.integration.endpoint import AwaitedAddress, CarpServerEndpoint, GatedPort
from carptwist.integration.gated import CarpGatedService
from carptwist.integration.subscription import Subscription, SubscriptionClosedError
from carptwist.monotonic import run_on_monotonic_time
from carptwist.planes import PlaneError
from carptwist.plugins.declaration import DemotionPlugin, HookPlugin, LinkPlugin, PlanePlugin
from carptwist.revision import Outcome
from carptwist.service import CarpService
from carptwist.vhost.tenants import Lease
from carptwist.wire.filters import accepts

__all__ = [
    "AwaitedAddress",
    "BadRequestError",
    "BusyError",
    "CarpClient",
    "CarpGatedService",
    "CarpServerEndpoint",
    "CarpService",
    "Change",
    "CheckConfig",
    "Configuration",
    "ConfigurationError",
    "ControlConfig",
    "Demotion",
    "DemotionPlugin",
    "DevdConfig",
    "Dialect",
    "Event",
    "FileMode",
    "GatedPort",
    "Hidden",
    "HookConfig",
    "HookPlugin",
    "Knobs",
    "Lease",
    "LinkConfig",
    "LinkPlugin",
    "ManholeConfig",
    "NobodyElseError",
    "NotFoundError",
    "Outcome",
    "Phrase",
    "PlaneError",
    "PlaneKind",
    "PlanePlugin",
    "Problem",
    "RefusedError",
    "ReplayMode",
    "Result",
    "State",
    "StatusRange",
    "Subscription",
    "SubscriptionClosedError",
    "SyncConfig",
    "TlsListen",
    "VirtualHostConfig",
    "WebhookConfig",
    "accepts",
    "configuration_of_file",
    "configuration_of_text",
    "connect",
    "run_on_monotonic_time",
]
