"""Samples and codecs: pure functions and small state machines over 20 ms of mono audio."""
