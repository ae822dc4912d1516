"""Files a user owns: routing, settings, secrets, scenarios. Read once, checked and kept."""
