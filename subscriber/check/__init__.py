"""`subscriber check`: probes gather facts, pure rules judge them, and each problem is one line with its remedy."""
