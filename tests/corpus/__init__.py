"""A corpus of hostile and unusual message bodies, each with its expected events and reason of rejection."""
