"""The log, the metrics, and the catalog of both."""
