"""``VoxEngine`` outside, inside and beside what it has."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import voxpy
from voxpy import AppEvents, VoxEngine, send_media_between
from voxpy.audio.frame import PCMU
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.ending import EndReason
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.engine.units import MediaUnit
from voxpy.errors import LimitExceeded, NoSession, NotSupported, ScenarioError, UnknownName
from voxpy.media.unit import MediaPort
from voxpy.voxengine import NOT_HERE


class OneSecret:
    def get(self, name: str) -> str | None:
        return "value" if name == "KNOWN" else None

    def missing(self, name: str) -> str:
        return f"add {name}"

    def values(self) -> tuple[str, ...]:
        return ()


class Line:
    format = PCMU

    def pull(self) -> bytes | None:
        return None

    def push(self, frame: bytes) -> None:
        pass


class Speaker(MediaUnit):
    def __init__(self, name: str) -> None:
        nobody: Any = None  # nothing is posted
        super().__init__(nobody, name)
        line = Line()
        self.media = MediaPort(name=name, source=line, sink=line)


def make_session(entries: list[Entry]) -> Session:
    """Make a session that does not run: enough for every synchronous word."""
    unused: Any = None  # nothing here dials or writes files
    trace = Trace(now=lambda: 0.0, masking=Masker())
    trace.add_sink(entries.append)
    return Session(
        SessionContext(
            session_id="s-1",
            settings=Settings(),
            secrets=OneSecret(),
            trace=trace,
            media_clock=MediaClock(),
            open_stream=unused,
            realtime=RealtimeEndpoint(url="ws://localhost/"),
            files=unused,
        ),
    )


CALLS: dict[str, tuple[Any, ...]] = {
    "add_event_listener": (AppEvents.Started, print),
    "remove_event_listener": (AppEvents.Started,),
    "call_pstn": ("+1", "+2"),
    "call_sip": ("sip:a@b.test",),
    "call_user": (),
    "call_user_direct": (None, "ada"),
    "call_whatsapp_user": (),
    "call_conference": ("room", "me"),
    "create_asr": (),
    "create_conference": (),
    "create_recorder": (),
    "create_sequence_player": ([{"text": "hello"}],),
    "create_tone_script_player": ("425@-19;1(1/0/1)",),
    "create_tts_player": ("hello",),
    "create_url_player": ("hello.wav",),
    "destroy_conference": (None,),
    "easy_process": (None, None),
    "forward_call_to_pstn": (),
    "forward_call_to_sip": (),
    "forward_call_to_user": (),
    "forward_call_to_user_direct": (),
    "terminate": (),
    "play_sound_and_hangup": ("hello.wav",),
    "send_media_between": (1, 2),
    "stop_media_between": (1, 2),
    "get_secret_value": ("KEY",),
    "custom_data": (),
    "create_websocket": ("wss://crm.test/feed",),
    "allow_websocket_connections": (),
    "enable_trace_for_incoming_websockets": (),
    "disable_trace_for_incoming_websockets": (),
    "enable_statistics_for_incoming_websockets": (),
    "disable_statistics_for_incoming_websockets": (),
}

KEYWORDS: dict[str, dict[str, Any]] = {
    "create_asr": {"profile": "en-US"},
    "call_user": {"username": "ada", "callerid": "me"},
    "call_user_direct": {"callerid": "me"},
    "call_whatsapp_user": {"number": "+1", "callerid": "me"},
}


@pytest.mark.parametrize("name", CALLS)
def test_outside_a_session_every_function_says_how_to_run_the_file(name: str) -> None:
    words = rf"VoxEngine\.{name} only works inside a session.*voxpy run <this file>"
    with pytest.raises(NoSession, match=words):
        getattr(VoxEngine, name)(*CALLS[name], **KEYWORDS.get(name, {}))


async def test_outside_a_session_waiting_and_decorating_fail_too() -> None:
    with pytest.raises(NoSession, match="voxpy run"):
        await VoxEngine.wait_event(AppEvents.Started)
    with pytest.raises(NoSession, match="voxpy run"):
        VoxEngine.on(AppEvents.Started)(print)
    with pytest.raises(NoSession, match="voxpy run"):
        send_media_between(1, 2)


def test_no_function_is_forgotten_above() -> None:
    public = {n for n in dir(type(VoxEngine)) if not n.startswith("_")}
    assert public == {*CALLS, "on", "wait_event"}
    assert inspect.iscoroutinefunction(VoxEngine.wait_event)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("terminat", "; did you mean 'terminate'?"),
        ("sendMediaBetween", "; did you mean 'send_media_between'?"),
        ("create_urlplayer", "; did you mean 'create_url_player'?"),
        ("qqqq", ""),
    ],
)
def test_a_misspelt_function_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UnknownName) as caught:
        getattr(VoxEngine, name)
    assert str(caught.value) == f"VoxEngine has no {name!r}{hint}"


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_a_function_that_is_still_missing_says_so(name: str) -> None:
    assert name not in dir(type(VoxEngine))
    with pytest.raises(NotSupported, match=rf"VoxEngine\.{name}\(\) is part of VoxEngine, but"):
        getattr(VoxEngine, name)


def test_nothing_can_be_stored_on_it_for_all_sessions_to_see() -> None:
    engine: Any = VoxEngine
    for name in ("counter", "_counter", "terminate"):
        with pytest.raises(AttributeError):
            setattr(engine, name, 1)
    assert not hasattr(engine, "__wrapped__")


async def test_listeners_in_a_session() -> None:
    session = make_session([])
    with running(session):

        @VoxEngine.on(AppEvents.Started)
        def started(event: AppEvents.Started) -> None:
            raise AssertionError("nothing runs here")

        VoxEngine.add_event_listener(AppEvents.Terminating, print)
        assert session.listeners.snapshot(AppEvents.Started) == (started,)
        VoxEngine.remove_event_listener(AppEvents.Started, started)
        VoxEngine.remove_event_listener(AppEvents.Terminating)
        assert session.listeners.kinds == frozenset()
        wrong: Any = "AppEvents.Started"
        with pytest.raises(ScenarioError, match="pass a member of AppEvents or WatchdogEvents"):
            VoxEngine.add_event_listener(wrong, print)
        with pytest.raises(ScenarioError, match="must be a function, not str"):
            VoxEngine.add_event_listener(AppEvents.Started, wrong)


async def test_terminate_may_be_said_twice() -> None:
    entries: list[Entry] = []
    session = make_session(entries)
    with running(session):
        VoxEngine.terminate()
        VoxEngine.terminate()
    assert session.ended is not None
    assert session.ended.reason is EndReason.TERMINATED
    assert [e.kind for e in entries] == ["command", "session", "command"]


async def test_media_both_ways_and_back() -> None:
    entries: list[Entry] = []
    session = make_session(entries)
    call, agent, other = Speaker("call"), Speaker("agent"), Speaker("other")
    with running(session):
        VoxEngine.send_media_between(call, agent)
        send_media_between(call, other)
        assert session.graph.feed_of(call.media) is other.media
        assert session.graph.feed_of(agent.media) is call.media
        assert entries[-1].data == {"target": "call", "replaces": "agent"}
        VoxEngine.stop_media_between(call, other)
        assert session.graph.feed_of(call.media) is None
        with pytest.raises(ScenarioError, match="NoneType is not a media unit"):
            VoxEngine.send_media_between(call, None)


async def test_secrets() -> None:
    entries: list[Entry] = []
    with running(make_session(entries)):
        assert VoxEngine.get_secret_value("KNOWN") == "value"
        assert VoxEngine.get_secret_value("OTHER") is None
        assert VoxEngine.get_secret_value("") is None
    assert [dict(e.data) for e in entries] == [
        {"key": "KNOWN", "found": True},
        {"key": "OTHER", "found": False},
        {"key": "", "found": False},
    ]


async def test_custom_data_is_bounded_in_bytes() -> None:
    with running(make_session([])):
        assert VoxEngine.custom_data() == ""
        assert VoxEngine.custom_data("é" * 1000) == "é" * 1000
        with pytest.raises(LimitExceeded, match="custom_data holds 2000 bytes, not 2002"):
            VoxEngine.custom_data("é" * 1001)
        assert VoxEngine.custom_data() == "é" * 1000
        number: Any = 3
        with pytest.raises(ScenarioError, match="must be a string, not int"):
            VoxEngine.custom_data(number)


def test_the_package_gives_the_vocabulary_by_name() -> None:
    assert voxpy.VoxEngine is VoxEngine
    assert "VoxEngine" in dir(voxpy)
    with pytest.raises(UnknownName, match="voxpy has no 'VoxEngin'; did you mean 'VoxEngine'"):
        voxpy.VoxEngin  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(voxpy, "__nothing__")
    assert Path(voxpy.__file__).name == "__init__.py"
