"""Past calls: their records, the table of them, and how one is read."""
