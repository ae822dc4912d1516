"""How far two words are apart."""

from __future__ import annotations


def edits(a: str, b: str) -> int:
    """Return how many letters must be put in, left out or replaced to make ``a`` into ``b``."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
