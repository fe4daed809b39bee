"""The control loop: what is observed, the regulator around the governor, and what operators override."""
