"""Who could do what, and what stops them: the tests that docs/security.md names."""
