"""A fuzzer for decode: a million mutated message bodies, checked by an independent oracle."""
