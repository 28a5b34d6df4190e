"""Webhooks on virtual time: what is sent, in which order, and how often."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.ranges import StatusRange
from carptwist.config.reactions import Hidden, WebhookConfig
from carptwist.hooks.notice import body
from carptwist.hooks.script import Change
from carptwist.hooks.webhook import FAREWELL_SECONDS, GIVE_UP_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_QUEUE
from carptwist.hooks.webhooks import Webhooks

MASTER = Change("1", "em0", "BACKUP", "MASTER", "master timed out")
SECRETS = ("https://ops.example/s3cret", "t0ken", "k3y")


class Server:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, Any], Mapping[str, str], bytes]] = []
        self.urls: list[str] = []
        self.pending: list[Deferred[int]] = []

    def __call__(self, config: WebhookConfig) -> Any:
        def post(octets: bytes, headers: Mapping[str, str]) -> Deferred[int]:
            self.posts.append((json.loads(octets), headers, octets))
            self.urls.append(config.url.text)
            self.pending.append(Deferred())
            return self.pending[-1]

        return post

    def answer(self, status: int = 200) -> None:
        self.pending.pop(0).callback(status)

    def refuse(self) -> None:
        self.pending.pop(0).errback(OSError("connection refused"))

    def said(self, key: str = "sequence") -> list[Any]:
        return [post[0][key] for post in self.posts]


class WebhookCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.demotion = 0
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.addCleanup(self._no_secret_in_the_log)

    def _observe(self, event: dict[str, Any]) -> None:
        if str(event.get("log_format", "")).startswith("carp: "):
            self.logged.append(event["log_format"].format(**event))

    def _no_secret_in_the_log(self) -> None:
        for secret in SECRETS:
            self.assertNotIn(secret, "\n".join(self.logged))

    def webhooks(self, **settings: Any) -> Webhooks:
        return Webhooks(
            [WebhookConfig("ops", Hidden(SECRETS[0]), **settings)],
            self.clock,
            poster=self.server,
            host="a",
            now=lambda: f"at {self.clock.seconds()}",
            demotion=lambda: self.demotion,
            draw=lambda: 1.0,
        )


class ContentTests(WebhookCase):
    """What is said."""

    def test_a_change_of_state(self) -> None:
        """Every key, as documentation has it."""
        webhooks = self.webhooks()
        self.clock.advance(1)
        self.demotion = 240
        webhooks.changed(MASTER)
        said, headers, _ = self.server.posts[0]
        self.assertEqual(
            said,
            {
                "sequence": 1,
                "started": "at 0.0",
                "time": "at 1.0",
                "host": "a",
                "event": "state",
                "subsystem": "1@em0",
                "vhid": 1,
                "interface": "em0",
                "previous": "BACKUP",
                "state": "MASTER",
                "reason": "master timed out",
                "by": 0,
                "demotion": 240,
                "text": "a: 1@em0: BACKUP -> MASTER (master timed out)",
            },
        )
        self.assertEqual(headers, {"Content-Type": "application/json"})

    def test_a_change_of_the_demotion(self) -> None:
        """With the same keys; who does not want it does not get it."""
        webhooks = self.webhooks()
        webhooks.demoted(240, 340, "check web: HTTP 503")
        said = self.server.posts[0][0]
        self.assertEqual((said["event"], said["by"], said["demotion"], said["vhid"]), ("demotion", 240, 340, None))
        self.assertEqual(said["text"], "a: demoted by 240 to 340 (check web: HTTP 503)")
        self.webhooks(demotion=False).demoted(1, 1, "x")
        self.assertEqual(len(self.server.posts), 1)

    def test_what_matches(self) -> None:
        """The whole subsystem and the whole state, as in a hook."""
        webhooks = self.webhooks(match="1@em.", type="MASTER")
        webhooks.changed(MASTER._replace(vhid="11"))
        webhooks.changed(MASTER._replace(state="INIT"))
        self.assertEqual(self.server.posts, [])
        webhooks.changed(MASTER)
        self.assertEqual(self.server.said(), [1])

    def test_a_template_stays_the_json_that_it_is(self) -> None:
        """Whatever is in the values."""
        template = '{"text": "$state: $reason ($vhid)", "n": [42, "$other"], "$state": null}'
        self.webhooks(body=template).changed(MASTER._replace(reason='"}, \\ \u20ac'))
        said = self.server.posts[0][0]
        self.assertEqual(said, {"text": 'MASTER: "}, \\ \u20ac (1)', "n": [42, "$other"], "$state": None})

    def test_it_is_signed(self) -> None:
        """As documentation verifies it."""
        self.webhooks(secret=Hidden("k3y"), headers=(("Authorization", Hidden("Bearer t0ken")),)).changed(MASTER)
        _, headers, octets = self.server.posts[0]
        wanted = "sha256=" + hmac.new(b"k3y", octets, hashlib.sha256).hexdigest()
        self.assertEqual(headers["X-Carptwist-Signature"], wanted)
        self.assertEqual(headers["Authorization"], "Bearer t0ken")


class DeliveryTests(WebhookCase):
    """When it is said."""

    def test_one_at_a_time_in_order(self) -> None:
        """The next when one was taken."""
        webhooks = self.webhooks()
        for _ in range(3):
            webhooks.changed(MASTER)
        self.assertEqual(self.server.said(), [1])
        self.server.answer(204)
        self.assertEqual(self.server.said(), [1, 2])
        self.server.answer()
        self.server.answer()
        self.assertEqual((self.server.said(), self.clock.getDelayedCalls()), ([1, 2, 3], []))

    def test_again_with_back_off(self) -> None:
        """Until it is taken; what comes meanwhile waits behind it. Why is told when it is another reason."""
        webhooks = self.webhooks()
        webhooks.changed(MASTER)
        webhooks.changed(MASTER)
        pauses = []
        for status in (None, 500, 503, 429, 408, 425, None, None):
            if status is None:
                self.server.refuse()
            else:
                self.server.answer(status)
            before = self.clock.seconds()
            while not self.server.pending:
                self.clock.advance(0.5)
            pauses.append(self.clock.seconds() - before)
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS])
        self.assertEqual(set(self.server.said()), {1})
        self.server.answer()
        self.assertEqual(self.server.said()[-1], 2)
        self.assertEqual(
            self.logged,
            [
                *(
                    f"carp: webhook ops: {why}: trying again"
                    for why in (
                        "connection refused",
                        *(f"HTTP {status}" for status in (500, 503, 429, 408, 425)),
                        "connection refused",
                    )
                ),
                "carp: webhook ops: answers again",
            ],
        )

    def test_a_server_that_hangs_is_one_that_does_not_answer(self) -> None:
        """After the timeout; a late answer means nothing."""
        webhooks = self.webhooks(timeout=5)
        webhooks.changed(MASTER)
        self.clock.advance(5)
        self.assertEqual(self.logged, ["carp: webhook ops: no answer within 5 s: trying again"])
        self.clock.advance(1)
        self.assertEqual(self.server.said(), [1, 1])

    def test_what_is_refused_is_dropped_and_told(self) -> None:
        """Another try would not help."""
        webhooks = self.webhooks()
        webhooks.changed(MASTER)
        webhooks.changed(MASTER)
        self.server.answer(404)
        self.assertEqual(self.server.said(), [1, 2])
        self.assertEqual(
            self.logged,
            ["carp: webhook ops: refused with HTTP 404: a: 1@em0: BACKUP -> MASTER (master timed out)"],
        )

    def test_what_nobody_takes_for_long_is_given_up(self) -> None:
        """The next one gets its own time."""
        webhooks = self.webhooks()
        webhooks.changed(MASTER)
        while self.clock.seconds() < GIVE_UP_SECONDS - 1:
            if self.server.pending:
                self.server.refuse()
            self.clock.advance(1)
        webhooks.changed(MASTER)
        while self.server.said()[-1] == 1:
            if self.server.pending:
                self.server.refuse()
            self.clock.advance(1)
        self.assertLess(self.clock.seconds(), GIVE_UP_SECONDS + 2 * LONGEST_PAUSE_SECONDS)
        self.assertIn("given up", self.logged[1])

    def test_the_queue_is_bounded(self) -> None:
        """The oldest that wait are dropped, which is told once; the gap in the numbers tells the server."""
        webhooks = self.webhooks()
        for _ in range(LONGEST_QUEUE + 10):
            webhooks.changed(MASTER)
        self.assertEqual(
            self.logged, [f"carp: webhook ops: more than {LONGEST_QUEUE} changes wait: the oldest are dropped"]
        )
        for _ in range(LONGEST_QUEUE):
            self.server.answer()
        self.assertEqual(self.server.said(), [1, *range(12, LONGEST_QUEUE + 11)])


class LatestTests(WebhookCase):
    """With latest = yes: what is not so any more is not told."""

    INIT = MASTER._replace(previous="MASTER", state="INIT")
    OTHER = MASTER._replace(vhid="2")

    def test_what_waits_is_dropped_by_the_next_change_of_its_vhid(self) -> None:
        """Whether that is of interest or not; of other vhids it stays, and is sent at once."""
        there = self.webhooks(latest=True, type="MASTER", demotion=True)
        there.changed(MASTER)
        there.demoted(1, 1, "x")
        there.changed(self.OTHER)
        self.server.refuse()
        there.changed(self.INIT)
        self.assertEqual(
            self.logged[1:],
            ["carp: webhook ops: not sent, as it is not so any more: a: 1@em0: BACKUP -> MASTER (master timed out)"],
        )
        self.assertEqual(self.server.said(), [1, 2])
        self.server.answer()
        self.server.answer()
        self.assertEqual(self.server.said(), [1, 2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_under_way_is_not_sent_again(self) -> None:
        """What comes of it in the end may be anything; a later call must not be undone by a former one."""
        there = self.webhooks(latest=True, type="MASTER")
        there.changed(MASTER)
        there.changed(self.INIT)
        there.changed(MASTER)
        self.server.answer(503)
        self.assertEqual(self.server.said(), [1, 2])
        self.assertEqual(
            self.logged,
            ["carp: webhook ops: HTTP 503, and it is not so any more: a: 1@em0: BACKUP -> MASTER (master timed out)"],
        )
        self.server.answer(503)
        self.clock.advance(1)
        self.assertEqual(self.server.said(), [1, 2, 2])
        self.server.answer()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_otherwise_everything_is_told(self) -> None:
        """The default: who keeps a journal wants to know."""
        there = self.webhooks()
        there.changed(MASTER)
        self.server.refuse()
        there.changed(self.INIT)
        self.clock.advance(1)
        self.server.answer()
        self.server.answer()
        self.assertEqual(self.server.said(), [1, 1, 2])

    def test_statuses_after_which_it_is_tried_again(self) -> None:
        """Those that everybody means so, and those that this server does."""
        self.webhooks(retries=(StatusRange(422, 422),)).changed(MASTER)
        for status in (409, 423, 422):
            self.server.answer(status)
            self.clock.advance(10)
        self.server.answer(421)
        self.assertEqual((self.server.said(), self.clock.getDelayedCalls()), ([1, 1, 1, 1], []))


def webhook(name: str, **settings: Any) -> WebhookConfig:
    return WebhookConfig(name, Hidden(f"https://{name}.example"), **settings)


class ReloadTests(WebhookCase):
    """Others take their place while the daemon runs."""

    def setUp(self) -> None:
        super().setUp()
        self.there = self.webhooks()
        self.ops = WebhookConfig("ops", Hidden(SECRETS[0]))

    def test_what_is_unchanged_notices_nothing(self) -> None:
        """What waits stays, and so does the pause between two tries."""
        for _ in range(3):
            self.there.changed(MASTER)
        self.server.refuse()
        self.clock.advance(0.5)
        self.there.replace([webhook("other"), self.ops])
        self.clock.advance(0.4)
        self.assertEqual(self.server.said(), [1])
        self.clock.advance(0.1)
        for _ in range(3):
            self.server.answer()
        self.assertEqual(self.server.said(), [1, 1, 2, 3])

    def test_what_is_changed_goes_on_with_what_waits(self) -> None:
        """At once, and to the new address, in the order of the numbers."""
        self.there.changed(MASTER)
        self.there.changed(MASTER)
        for _ in range(4):
            self.server.refuse()
            self.clock.advance(30)
        self.server.refuse()
        self.there.replace([webhook("ops", type="INIT")])
        self.server.answer()
        self.server.answer()
        self.there.changed(MASTER)
        self.there.changed(MASTER._replace(state="INIT"))
        self.assertEqual(self.server.said()[-3:], [1, 2, 3])
        self.assertEqual(self.server.urls[-4:], [SECRETS[0], *["https://ops.example"] * 3])

    def test_what_is_under_way_is_not_interrupted(self) -> None:
        """Its answer counts; the next one goes where the new settings say."""
        self.there.changed(MASTER)
        self.there.changed(MASTER)
        self.there.replace([webhook("ops")])
        self.assertEqual(self.server.said(), [1])
        self.server.answer()
        self.server.answer()
        self.assertEqual(self.server.said(), [1, 2])
        self.assertEqual(self.server.urls, [SECRETS[0], "https://ops.example"])

    def test_what_is_added_hears_from_now_on(self) -> None:
        """And one that comes back under its name goes on counting: no number is there twice."""
        self.there.changed(MASTER)
        self.server.answer()
        self.there.replace([])
        self.there.changed(MASTER)
        self.there.replace([self.ops, webhook("new")])
        self.there.changed(MASTER)
        self.assertEqual(self.server.said(), [1, 2, 1])
        self.assertEqual(self.server.urls, [SECRETS[0], SECRETS[0], "https://new.example"])

    def test_what_is_removed_says_what_it_has_to_say(self) -> None:
        """For as long as the end of the daemon would grant it; an end that comes meanwhile waits for that."""
        for ends in (False, True):
            self.there.replace([self.ops])
            self.there.changed(MASTER)
            self.there.changed(MASTER)
            self.there.replace([])
            self.there.changed(MASTER)
            if ends:
                finished = self.there.finish()
                self.assertNoResult(finished)
                self.server.answer()
                self.server.answer()
                self.successResultOf(finished)
            else:
                self.server.answer()
                self.clock.advance(FAREWELL_SECONDS)
                self.assertEqual(self.logged, ["carp: webhook ops: not delivered before the end: 1"])
                self.server.pending.clear()
                self.successResultOf(self.there.finish())
        self.assertEqual(self.server.said(), [1, 2, 3, 4])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(WebhookCase):
    """The end of the daemon."""

    def test_without_anything_to_say_it_is_over_at_once(self) -> None:
        """And nothing is left on the clock."""
        self.successResultOf(self.webhooks().finish())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_waits_is_delivered(self) -> None:
        """Without the pauses of better times."""
        webhooks = self.webhooks()
        for _ in range(5):
            webhooks.changed(MASTER)
        for _ in range(2):
            self.server.refuse()
            self.clock.advance(2)
        self.server.refuse()
        finished = webhooks.finish()
        self.assertEqual(len(self.server.pending), 1)
        self.server.refuse()
        self.clock.advance(0.25)
        for _ in range(5):
            self.server.answer()
        self.successResultOf(finished)
        self.assertEqual(self.server.said()[-5:], [1, 2, 3, 4, 5])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_does_not_answer_delays_it_by_seconds_alone(self) -> None:
        """Hanging or refusing; how many were lost is told."""
        for trouble in ("hang", "refuse"):
            self.server.pending.clear()
            webhooks = self.webhooks(timeout=3600)
            webhooks.changed(MASTER)
            webhooks.changed(MASTER)
            if trouble == "refuse":
                self.server.refuse()
            finished = webhooks.finish()
            self.assertNoResult(finished)
            self.clock.advance(FAREWELL_SECONDS)
            self.successResultOf(finished)
            self.assertEqual(self.logged[-1], "carp: webhook ops: not delivered before the end: 2")
            self.assertEqual(self.clock.getDelayedCalls(), [])


class SecretTests(SynchronousTestCase):
    """What nobody is to see."""

    def test_a_configuration_does_not_show_it(self) -> None:
        """Printed in whatever way."""
        config = WebhookConfig(
            "ops", Hidden(SECRETS[0]), headers=(("Authorization", Hidden("t0ken")),), secret=Hidden("k3y")
        )
        for secret in SECRETS:
            self.assertNotIn(secret, f"{config} {config!r} {config.url}")

    def test_bodies_are_json(self) -> None:
        """With characters of any kind as they are."""
        webhook = Webhooks([], Clock(), poster=Server(), host="a", now=str, demotion=int, draw=float)
        webhook.changed(MASTER)  # nobody is told, nothing fails
        from carptwist.hooks.notice import Notice

        notice = Notice(1, "", "", "h\u00f6st", "state", "1@em0", 1, "em0", "", "", "", 0, 0)
        self.assertIn("h\u00f6st".encode(), body(notice, None))
