"""What commands put on a terminal: text that obeys nobody, and a call as it happens."""
