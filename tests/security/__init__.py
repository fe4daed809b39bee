"""The tests of threats and their mitigations that docs/explanation/security.md names."""
