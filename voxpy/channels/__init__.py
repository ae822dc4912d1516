"""Ways in and out: each makes Legs."""
