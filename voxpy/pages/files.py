"""The web pages: files as they are, which no build step touches.

A page runs what stands in the files of its own host and nothing else; what callers and models say
is put into it as text by its scripts, never as markup.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}
"""What a page and its files are sent with."""


@cache
def names() -> frozenset[str]:
    """Return the files there are."""
    return frozenset(
        each.name for each in files(__package__).iterdir() if each.name.partition(".")[2] in TYPES
    )


@cache
def content(name: str) -> bytes:
    """Return a file. Raises KeyError for one that is not ours, whatever the name says."""
    if name not in names():
        raise KeyError(name)
    return files(__package__).joinpath(name).read_bytes()


def content_type(name: str) -> str:
    """Return what kind of file it is."""
    return TYPES[name.partition(".")[2]]
