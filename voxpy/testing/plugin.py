"""The pytest plugin: what `import voxpy` users get for free in their test runs."""
