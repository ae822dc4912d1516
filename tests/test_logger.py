"""What ``Logger.write`` makes of things."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from voxpy import AppEvents, Logger
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Limits, Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import NoSession


@attrs.frozen
class Order:
    tea: int


def written(*messages: Any, **limits: Any) -> list[str]:
    unused: Any = None  # nothing here dials, reads secrets or writes files
    entries: list[Entry] = []
    trace = Trace(now=lambda: 0.0, masking=Masker(["sk-123456"]))
    trace.add_sink(entries.append)
    context = SessionContext(
        session_id="s-1",
        settings=Settings(limits=Limits(**limits)),
        secrets=unused,
        trace=trace,
        media_clock=MediaClock(),
        open_stream=unused,
        realtime=RealtimeEndpoint(url="ws://localhost/"),
        files=unused,
    )
    with running(Session(context)):
        for message in messages:
            Logger.write(message)
        assert all((e.kind, e.name) == ("log", "Logger.write") for e in entries)
        assert trace.hide_tones is False
        Logger.hide_tones(True)
        assert trace.hide_tones is True
    return [str(e.personal["text"]) for e in entries]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("plain words, \"quoted\"", "plain words, \"quoted\""),
        ("", ""),
        ("two\nlines", "two\nlines"),
        (None, "null"),
        (12, "12"),
        ([1, "a", None], '[1,"a",null]'),
        ({"tea": 3, 4: True}, '{"tea":3,"4":true}'),
        ({(1, 2): 2**70}, '{"(1, 2)": 1180591620717411303424}'),
        (ValueError("no tea"), '{"message":"no tea","type":"ValueError"}'),
        (Order(3), '{"tea":3}'),
        (object, '"<class \'object\'>"'),
        (
            AppEvents.Terminating(system_error="why"),
            '{"name":"Application.Terminating","system_error":"why"}',
        ),
        ("the key is sk-123456", "the key is ***"),
    ],
)  # fmt: skip
async def test_anything_becomes_a_line(message: Any, line: str) -> None:
    assert written(message) == [line]


async def test_longer_lines_are_cut_at_the_limit() -> None:
    assert written("a" * 15_000, "b" * 15_001) == ["a" * 15_000, "b" * 14_999 + "…"]
    assert written("abcd", "abcde", [1, 2], log_characters=4) == ["abcd", "abc…", "[1,…"]


def test_outside_a_session() -> None:
    for use in (Logger.write, Logger.hide_tones):
        with pytest.raises(NoSession, match=r"Logger\..* only works inside a session"):
            use(True)


def test_nothing_can_be_stored_on_it_for_all_sessions_to_see() -> None:
    with pytest.raises(AttributeError):
        Logger.counter = 1  # type: ignore[attr-defined]
