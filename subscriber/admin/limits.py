"""Limits of the HTTP server that other parts count on, without the server."""

CONNECTIONS_AT_MOST = 64
"""A load balancer, a scraper and an operator need a handful; the queues and the database need the other descriptors."""
