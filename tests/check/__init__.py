"""Tests of `subscriber check`: one deliberate mistake each, and the finding about it."""
