"""Tests of jobs: their states, their workers, and the formats of their plans."""
