"""What an S3 event means: envelopes, records, names, keys, sequencer, and the one order. Pure, no I/O."""
