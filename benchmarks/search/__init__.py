"""The search of the index: how long its questions take, and what each optional index costs the writers."""
