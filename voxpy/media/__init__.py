"""The media graph: units stepped every 20 ms by plain calls."""
