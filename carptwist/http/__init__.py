"""Speaking HTTP to others, so that none of them can do us harm."""
