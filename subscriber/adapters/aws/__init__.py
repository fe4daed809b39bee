"""Sessions, signed HTTP connections and the meaning of error codes, shared by every AWS service."""
