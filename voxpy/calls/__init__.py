"""What drives the Call objects: their state, their events, their limits."""
