"""Pure judgments: facts about settings, queues, buckets and database in, findings out."""
