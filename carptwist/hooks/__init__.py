"""The world's reactions to what happens here."""
