"""People who do not exist: callers and callees, their lines, their scripts and their voices."""
