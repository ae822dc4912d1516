"""Text from outside: read with care before anything else sees it."""
