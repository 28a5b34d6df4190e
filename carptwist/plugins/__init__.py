"""Links, planes, hooks and demotion sources of others: how they are found, and what they cannot do to the daemon."""
