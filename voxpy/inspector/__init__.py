"""What shows a call in a browser, live from a host or as one file to send."""
