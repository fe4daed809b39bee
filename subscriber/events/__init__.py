"""What an S3 event means: envelopes, records, sequencer order, key decoding. Pure, no I/O."""
