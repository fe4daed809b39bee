"""Sessions and signed HTTP connections, shared by every AWS service."""
