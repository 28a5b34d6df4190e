"""The demotion ledger."""

from carptwist.election.demotion import Change, Ledger


def test_demotion_is_the_sum_of_the_entries() -> None:
    """Each owner has one entry; the sum is the demotion of the host."""
    ledger = Ledger()
    assert ledger.put(1.0, "ifdown 1@em0", 240, "interface down em0") == Change(240, 240, "interface down em0")
    assert ledger.put(2.0, "operator", -10, "preferred") == Change(-10, 230, "preferred")
    assert ledger.sum == 230
    assert [entry.owner for entry in ledger.entries] == ["ifdown 1@em0", "operator"]


def test_an_owner_replaces_its_own_entry() -> None:
    """A second put of an owner changes the sum by the difference."""
    ledger = Ledger()
    ledger.put(1.0, "check web", 100, "failing")
    assert ledger.put(5.0, "check web", 30, "slow") == Change(-70, 30, "slow")
    assert ledger.entries[0].since == 5.0


def test_the_same_value_again_is_no_change() -> None:
    """Nothing is announced, and the entry keeps its age."""
    ledger = Ledger()
    ledger.put(1.0, "check web", 100, "failing")
    assert ledger.put(5.0, "check web", 100, "still failing") is None
    assert ledger.entries[0].since == 1.0
    assert ledger.entries[0].reason == "still failing"


def test_an_entry_is_taken_back_by_its_owner() -> None:
    """Removing changes the sum; removing what is not there changes nothing."""
    ledger = Ledger()
    ledger.put(1.0, "ifdown 1@em0", 240, "interface down em0")
    assert ledger.remove("ifdown 1@em0", "interface up em0") == Change(-240, 0, "interface up em0")
    assert ledger.remove("ifdown 1@em0", "interface up em0") is None


def test_entries_expire() -> None:
    """An entry with an end goes by itself, and says so."""
    ledger = Ledger()
    ledger.put(1.0, "operator", 50, "maintenance", expires=10.0)
    ledger.put(1.0, "other", 1, "for good")
    assert ledger.deadline == 10.0
    assert ledger.expire(9.9) == []
    assert ledger.expire(10.0) == [Change(-50, 1, "maintenance: expired")]
    assert ledger.deadline is None


def test_an_expired_entry_of_no_weight_changes_nothing() -> None:
    """Its end is not announced as a change of demotion."""
    ledger = Ledger()
    ledger.put(1.0, "operator", 0, "a note", expires=2.0)
    assert ledger.expire(2.0) == []
    assert ledger.entries == ()
