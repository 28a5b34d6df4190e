"""The flight recorder: what a node was told and what it decided, in a bounded file that can be run again."""
