"""Looking into a running daemon by hand."""
