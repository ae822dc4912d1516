"""Call lists: rows of a file, each of which becomes a session; durable, paced, tried again."""
