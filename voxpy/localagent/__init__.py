"""A realtime agent on this machine that really hears and really speaks."""
