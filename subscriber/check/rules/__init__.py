"""Pure rules: facts about settings, queues, buckets and the database in, findings out."""
