"""Protocols without input or output: bytes and text in, events out, and the other way round."""
