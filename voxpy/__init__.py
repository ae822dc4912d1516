"""Call scenarios in Python: the vocabulary."""
