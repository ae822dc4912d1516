"""The web pages, as they are sent."""
