"""What the Realtime protocol and the words themselves say about when a turn ends. Pure.

The detector itself is ``voxpy.media.turns``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from voxpy.media.turns import DEFAULT_SILENCE_MS, TurnDetector

__all__ = ["configure", "looks_unfinished", "silence_ms_for"]

_EAGERNESS_SILENCE_MS = {"high": 400, "medium": DEFAULT_SILENCE_MS, "auto": 600, "low": 900}
"""Our own figures: the service's are not published."""

_SERVER_VAD_SILENCE_MS = 500  # the Realtime protocol's default of silence_duration_ms
_SHORTEST_SILENCE_MS, _LONGEST_SILENCE_MS = 100, 10_000
_PREFIX_PADDING_MS = 300
_THRESHOLD = 0.5


def configure(detector: TurnDetector, turn_detection: Mapping[str, Any] | None) -> None:
    """Make ``detector`` obey a session's ``turn_detection`` object."""
    detector.silence_ms = silence_ms_for(turn_detection)
    server_vad = turn_detection or {}
    threshold, padding_ms = server_vad.get("threshold"), server_vad.get("prefix_padding_ms")
    detector.threshold = _THRESHOLD if threshold is None else float(threshold)
    detector.prefix_padding_ms = _PREFIX_PADDING_MS if padding_ms is None else int(padding_ms)


def silence_ms_for(turn_detection: Mapping[str, Any] | None) -> int:
    """Return the silence that ends a turn under a session's ``turn_detection`` object.

    ``server_vad``: its ``silence_duration_ms`` (500 if absent or not a number), held within 100 ms
    to 10 s. ``semantic_vad``: by ``eagerness``, high 400, medium and auto 600, low 900. ``None``
    (manual turns) and anything else: 600.
    """
    if turn_detection is None:
        return DEFAULT_SILENCE_MS
    if turn_detection.get("type") == "server_vad":
        asked = turn_detection.get("silence_duration_ms")
        if isinstance(asked, bool) or not isinstance(asked, int | float) or asked != asked:
            return _SERVER_VAD_SILENCE_MS
        return int(min(max(asked, _SHORTEST_SILENCE_MS), _LONGEST_SILENCE_MS))
    eagerness = str(turn_detection.get("eagerness"))
    return _EAGERNESS_SILENCE_MS.get(eagerness, DEFAULT_SILENCE_MS)


_DANGLING = frozenset(
    "a an the my your our their his its every and but or so because if when while although unless "
    "than for to from with of at by about into between without is are was were am i'm we're it's "
    "i've could should would um uh uhm er erm hmm i we".split()
)
_WHOLE = re.compile(
    r"\b(?:(?:think|hope|guess|believe|say|not) so|it is|that is|they are|there you are"
    r"|(?:yes|no|yeah),? (?:i|we|you|it|that) \w+)$"
)
_SHORT_NUMBER = re.compile(
    r"\b(?:number|phone|mobile|cell) (?:is|was)(?: plus)?(?:[\s,-]*\d){0,6}$"
)  # fewer digits than any phone number has


def looks_unfinished(text: str) -> bool:
    """Return whether ``text`` breaks off, so that the caller will probably go on.

    True for a dangling last word ("I would like to", "it is for the", "um"), for a trailing comma,
    dash or ellipsis, and for a phone number that has only just begun ("my number is 55").
    """
    text = text.strip().lower()
    if not text or text.endswith("?"):
        return False  # "Who am I talking to?"
    if text.endswith((",", "-", "—", "...", "…")):
        return True
    words = text.rstrip(".! ")
    if _WHOLE.search(words):
        return False
    return words.split(" ")[-1] in _DANGLING or bool(_SHORT_NUMBER.search(words))
