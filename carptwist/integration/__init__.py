"""For other Twisted programs: a client that stays connected, servers and services that follow a virtual host."""
