"""What the commands do with many calls: suites, random callers, replays, measurements, load."""
