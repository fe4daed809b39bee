"""Tests of the dead-letter queues."""
