"""Text of others' making, so that whoever prints it prints no more than text.

A caller id or a transcript may hold what a terminal obeys: escape sequences, the C1 controls that
begin one in a single byte, marks that turn the direction of what follows, a carriage return that
writes over the line before. Everything of the kind becomes its escape, as in Python's own source.
"""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""Scripts and emoji need them, and nothing obeys them."""


def plain(text: str, *, keep: str = "") -> str:
    """Return ``text`` with all that is no letter, mark, digit, sign or space as its escape.

    Characters in ``keep`` stay; a line break is one that must be asked for.
    """
    if text.isprintable():
        return text
    return "".join(each if _is_harmless(each, keep) else _escape(each) for each in text)


def _is_harmless(each: str, keep: str) -> bool:
    return (
        each.isprintable() or each in keep or each in JOINERS or unicodedata.category(each) == "Zs"
    )


def _escape(each: str) -> str:
    return each.encode("unicode_escape").decode()
