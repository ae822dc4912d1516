"""The test kit for scenario authors."""
