"""What every speech connector shares: connection, life, renewal, media, tools and announcements."""
