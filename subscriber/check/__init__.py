"""What is wrong with settings, queues, buckets and database, and how to mend it: pure judgements of facts."""
