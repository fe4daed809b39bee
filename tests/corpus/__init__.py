"""Hostile and odd bodies, each with what it must become: events, and the reason it goes to the quarantine."""
