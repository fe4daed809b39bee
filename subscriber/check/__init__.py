"""`subscriber check`: probes collect facts, pure rules evaluate them, and each problem is one line with its remedy."""
