"""The control protocol: how carpctl and other programs talk to a running daemon."""
