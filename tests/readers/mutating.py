"""Inputs that are nearly right: a seed of a reader's own, changed here and there.

An input is known by its reader and a number, and is the same wherever it is made.
"""

# ruff: noqa: E501  tables read better in whole lines

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

MOST_BYTES = 10_000
PARTS = b"\x1e"
"""Between the messages of a seed that has several."""
TOKENS: Sequence[bytes] = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\x1b[2J",
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b";", b",", b"=", b'"', b"'", b"\\", b"<",
    b">", b"%00", b"%", b"%zz", b"+", b"-", b"-1", b"0", b"9" * 400, b"1e999", b"-0.0", b"NaN",
    b"Infinity", b"1_000", b"0x10", b"\xd9\xa1", b"null", b"true", b"{", b"}", b"[", b"]", b"[" * 200,
    b"{\"a\":" * 80, b"()", b"\\u0000", b"\\ud800", b"..", b"../../etc/passwd", b"//", b"*", b"&a *a",
    b"!!python/object:os.system", b"<<: *x", b"${HOME}", b"token=", b"Content-Length: 99999999999",
    b"\x80" * 40, b"a" * 3000, b"\xc3\xa4" * 500,
)  # fmt: skip
VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1e308, -1e308, 2**63, 2**200, 0.1, "", " ", "x", "\x00", "\ud800", "9" * 400,
    "a" * 2000, [], {}, [[]], [None], {"": None}, [{}] * 50, {"type": 1}, "2000-01-01T00:00:00Z",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """Return the input of this number."""
    rng = random.Random(number)
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 3, 8, 30))):
        data = rng.choice(_WAYS)(data, seeds, rng)[:MOST_BYTES]
    return data


def _at(data: bytes, rng: random.Random) -> int:
    return rng.randint(0, len(data))


def _flip(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    if not data:
        return bytes([rng.randrange(256)])
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.choice(TOKENS) * rng.choice((1, 1, 1, 5)) + data[at:]


def _random(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 3, 20))) + data[at:]


def _cut(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    one, two = sorted((_at(data, rng), _at(data, rng)))
    return data[:one] + data[two:]


def _end(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: _at(data, rng)]


def _double(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    one, two = sorted((_at(data, rng), _at(data, rng)))
    return data[:two] + data[one:two] * rng.choice((1, 2, 40)) + data[two:]


def _splice(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(seeds)
    return data[: _at(data, rng)] + other[_at(other, rng) :]


def _parts(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Swap, drop and repeat messages."""
    parts = data.split(PARTS)
    rng.shuffle(parts)
    return PARTS.join(rng.choices(parts, k=rng.randint(1, len(parts) + 2)))


def _value(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Put another value somewhere into a message that is JSON."""
    parts = data.split(PARTS)
    at = rng.randrange(len(parts))
    try:
        value = json.loads(parts[at])
    except (ValueError, RecursionError):
        return _insert(data, seeds, rng)
    parts[at] = json.dumps(_changed(value, rng), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    return PARTS.join(parts)


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {each: value[each] for each in value if each != name}
        return {**value, name: _changed(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


def _flood(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Say one thing so often that all 10 kB are full of it."""
    one, two = sorted((_at(data, rng), _at(data, rng)))
    what = rng.choice((rng.choice(TOKENS), data[one : min(two, one + rng.choice((1, 2, 5, 40)))]))
    again = what * ((MOST_BYTES - len(data)) // max(1, len(what)))
    return data[:one] + again + data[one:]


_WAYS: Sequence[Callable[[bytes, Sequence[bytes], random.Random], bytes]] = (
    _flip, _insert, _insert, _flood, _random, _cut, _end, _double, _splice, _parts, _value, _value,
)  # fmt: skip
