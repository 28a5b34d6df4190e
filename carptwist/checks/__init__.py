"""The health of what this host is there for: checks that demote it while they fail."""
