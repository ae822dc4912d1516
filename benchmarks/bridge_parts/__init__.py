"""The programs under test of ``benchmarks/bridge.py`` (load: ``voxpy.lab.bench``)."""
