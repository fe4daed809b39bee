"""Asks S3 what object versions are beside their bytes, as the queue says, within a rate and a bill."""
