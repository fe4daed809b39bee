"""Real parts for tests and benchmarks: queue, database, AWS services, workloads and checkers on this machine."""
