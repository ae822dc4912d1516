"""The processes and the measuring of ``benchmarks/bridge.py``."""
