"""The rules: who is MASTER, and when. Pure values in, effects out; time is an argument."""
