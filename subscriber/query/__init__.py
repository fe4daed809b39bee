"""Search of the index: queries, pages, look-ups of keys, and the indexes that an operator may switch on."""
