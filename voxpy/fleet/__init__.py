"""What hosts share: leases, entries, queues and counts, in one process or in Redis."""
