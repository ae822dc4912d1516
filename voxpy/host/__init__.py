"""One process: settings, routing, secrets and the calls it runs."""
