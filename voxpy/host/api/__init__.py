"""The management API: a file for each thing that it is about."""
