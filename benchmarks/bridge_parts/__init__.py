"""The programs under test of ``benchmarks/bridge.py``; the load generator is ``voxpy.bench``."""
