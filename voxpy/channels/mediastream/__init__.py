"""Calls over the media streams of phone providers: legs, and the way a stream becomes a call."""
