"""Rise and fall."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from carptwist.checks.health import Health, Result, Standing

GOOD, BAD = Result(True, "HTTP 200"), Result(False, "HTTP 503")


def standings(results: str, rise: int = 2, fall: int = 3) -> str:
    """What is held after each of some results: + and - are good and bad ones; p, f passing and failing."""
    health = Health(rise, fall)
    held = []
    for each in results:
        before = health.standing
        changed = health.heard(GOOD if each == "+" else BAD)
        assert changed == (health.standing is not before)
        held.append(health.standing.value[0])
    return "".join(held)


class HealthTests(SynchronousTestCase):
    """Results -> standing."""

    def test_nothing_is_known_at_first(self) -> None:
        """It is neither passing nor failing."""
        self.assertIs(Health(2, 3).standing, Standing.UNKNOWN)

    def test_the_first_result_decides_alone(self) -> None:
        """There is nothing that a row would have to overthrow."""
        self.assertEqual(standings("+"), "p")
        self.assertEqual(standings("-"), "f")

    def test_as_many_bad_ones_in_a_row_as_fall_says(self) -> None:
        """Not one less."""
        self.assertEqual(standings("+---"), "pppf")
        self.assertEqual(standings("+-", fall=1), "pf")

    def test_a_good_one_interrupts_the_row(self) -> None:
        """Two of three and two of three are no three."""
        self.assertEqual(standings("+--+--+--"), "ppppppppp")

    def test_as_many_good_ones_in_a_row_as_rise_says(self) -> None:
        """What comes and goes stays failing."""
        self.assertEqual(standings("-+-+-++"), "ffffffp")
        self.assertEqual(standings("-+", rise=1), "fp")
        self.assertEqual(standings("-++++", rise=4), "ffffp")

    def test_the_row_is_counted(self) -> None:
        """Of results that are as the last one."""
        health = Health(2, 3)
        rows = []
        for result in (BAD, BAD, GOOD, GOOD, GOOD, BAD):
            health.heard(result)
            rows.append(health.row)
        self.assertEqual(rows, [1, 2, 1, 2, 3, 1])
        self.assertEqual(health.last, BAD)
