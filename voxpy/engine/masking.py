"""Keeping secrets out of traces and logs: by value anywhere, and by key in JSON. Pure."""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

SHORTEST_SECRET_CHARACTERS = 6
"""Shorter values are not masked: ``1`` or ``true`` as a secret would riddle logs with stars."""

_SECRET_KEY = re.compile(r"api[_-]?key|token|secret|password|authorization", re.IGNORECASE)


class Masker:
    """Replaces secret values by ``***``.

    Values shorter than SHORTEST_SECRET_CHARACTERS are ignored, see there.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._forms: list[str] = []  # longest first
        self._shortest_form = 0
        self.add(*values)

    def add(self, *values: str) -> None:
        """Mask these values too, from now on: a secret may become known in mid-session."""
        new = {v for v in values if len(v) >= SHORTEST_SECRET_CHARACTERS} - self._values
        if new:
            self._values |= new
            longest_first = sorted(self._values, key=len, reverse=True)  # "abcdef12" over "abcdef"
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            forms = {form for value in self._values for form in _forms(value)} - self._values
            self._forms = sorted(forms, key=len, reverse=True)
            self._shortest_form = min(map(len, forms), default=0)

    def text(self, text: str) -> str:
        """Return ``text`` with every known value replaced, as it is or in a form made of it."""
        if self._pattern is None:
            return text
        text = self._pattern.sub(MASK, text)
        if len(text) >= self._shortest_form:
            # One search for each form: an alternation of so many is tried at every character.
            for form in self._forms:
                if form in text:
                    text = text.replace(form, MASK)
        return text

    def json(self, obj: Any) -> Any:
        """Return a copy of a JSON value with known values replaced, in mapping keys too.

        Under a key that contains api_key, token, secret, password or authorization (any case)
        every string is replaced whatever it is, and so are numbers, except under ``…token…``: a
        number of tokens is what services count and never a secret. ``max_…`` keys are bounds, not
        secrets (``max_output_tokens: "inf"``). null, true and false stay. Tuples become lists.
        """
        return self._json(obj, hide=False, numbers=False)

    def _json(self, obj: Any, *, hide: bool, numbers: bool) -> Any:
        if isinstance(obj, str):
            return MASK if hide and obj else self.text(obj)
        if isinstance(obj, Mapping):
            return {
                self.text(key) if isinstance(key, str) else key: self._member(
                    key, value, hide=hide, numbers=numbers
                )
                for key, value in obj.items()
            }
        if isinstance(obj, (list, tuple)):
            return [self._json(item, hide=hide, numbers=numbers) for item in obj]
        if numbers and isinstance(obj, (int, float)) and not isinstance(obj, bool):
            return MASK
        return obj

    def _member(self, key: Any, value: Any, *, hide: bool, numbers: bool) -> Any:
        found = None
        if isinstance(key, str) and not key.lower().startswith("max_"):
            found = _SECRET_KEY.search(key)
        if found is None:
            return self._json(value, hide=hide, numbers=numbers)
        counts = found[0].lower() == "token"
        return self._json(value, hide=True, numbers=numbers or not counts)


def _forms(value: str) -> Iterator[str]:
    """Yield what becomes of a value on its way: in addresses, in JSON, in file names, in base64."""
    made = {
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-."),
        *(line.strip() for line in value.splitlines() if not line.startswith("-----")),  # of a PEM
    }
    yield from (form for form in made if len(form) >= SHORTEST_SECRET_CHARACTERS)
    for coded in _in_base64(value.encode("utf-8", "surrogatepass")):
        yield coded
        yield coded.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of ``data`` behind 0, 1 or 2 other bytes, whatever those are.

    Only the characters that depend on nothing else: ``Basic`` puts a name before a key.
    """
    for before in range(3):
        coded = b2a_base64(bytes(before) + data, newline=False).decode()
        own = coded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        if len(own) >= SHORTEST_SECRET_CHARACTERS + 2:
            yield own
