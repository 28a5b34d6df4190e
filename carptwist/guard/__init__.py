"""The dead man's guard: a process of its own that ends a MASTER in good order when its daemon cannot."""
