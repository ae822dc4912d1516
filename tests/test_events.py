import io
import sys
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from voxpy import events as events_module
from voxpy.call import Call
from voxpy.engine import events as session_events
from voxpy.engine.events import Event
from voxpy.engine.masking import Masker
from voxpy.engine.trace import Entry, Trace
from voxpy.engine.units import Unit
from voxpy.errors import UnknownName
from voxpy.events import (
    AppEvents,
    CallEvent,
    CallEvents,
    CallMediaStatistics,
    MediaSample,
    WatchdogEvents,
)

ROOT = Path(__file__).parent.parent

# VoxEngine's constant, its wire string, and the fields it adds, in snake_case. H: has headers.
APP_EVENTS = {
    "Started": (
        "Application.Started",
        "session_id rule_name custom_data log_url access_url access_secure_url account_id "
        "application_id conference_name",
    ),
    "Terminating": ("Application.Terminating", "system_error"),
    "Terminated": ("Application.Terminated", "system_error"),
    "CallAlerting": (
        "Application.CallAlerting",
        "call headers callerid destination to_uri from_uri display_name custom_data scheme "
        "sip_call_id sip_transport",
    ),
    "HttpRequest": ("Application.HttpRequest", "method path content headers"),
    "WebSocket": (
        "AppEvents.NewWebSocketConnection",
        "websocket method path content headers",
    ),
    "NewWebSocketFailed": (
        "Application.OnNewWebSocketFailed",
        "reason method path content headers",
    ),
}
CALL_EVENTS = {
    "Connected": (
        "Call.Connected",
        "H custom_data scheme display_name encrypted sip_call_id sip_transport",
    ),
    "Disconnected": ("Call.Disconnected", "H internal_code reason duration cost direction"),
    "Failed": ("Call.Failed", "H code reason"),
    "Ringing": ("Call.Ringing", "H"),
    "AudioStarted": ("Call.AudioStarted", "H code scheme"),
    "FirstAudioPacketReceived": ("Call.FirstAudioPacketReceived", ""),
    "FirstVideoPacketReceived": ("Call.FirstVideoPacketReceived", ""),
    "StateChanged": ("Call.StateChanged", "old_state new_state"),
    "PlaybackReady": ("Call.PlaybackReady", ""),
    "PlaybackStarted": ("Call.PlaybackStarted", "duration"),
    "PlaybackFinished": ("Call.PlaybackFinished", "error"),
    "ToneReceived": ("Call.ToneReceived", "tone type"),
    "ToneDetected": ("Call.ToneDetected", "progress_tone voicemail_tone"),
    "MicStatusChange": ("Call.MicStatusChange", "active"),
    "RecordStarted": ("Call.RecordStarted", "url"),
    "RecordStopped": ("Call.RecordStopped", "url cost duration reason transcript_url"),
    "RecordError": ("Call.RecordError", "error"),
    "VideoTrackCreated": ("Call.Video.TrackCreated", "url"),
    "MessageReceived": ("Call.MessageReceived", "H text"),
    "InfoReceived": ("Call.InfoReceived", "H mime_type body"),
    "OnHold": ("Call.OnHold", ""),
    "OffHold": ("Call.OffHold", ""),
    "ReInviteReceived": ("Call.ReInviteReceived", "H mime_type body"),
    "ReInviteAccepted": ("Call.ReInviteAccepted", "H mime_type body"),
    "ReInviteRejected": ("Call.ReInviteRejected", "H code reason"),
    "BlindTransferRequested": ("Call.BlindTransferRequested", "H transfer_to"),
    "TransferComplete": ("Call.TransferComplete", "H role"),
    "TransferFailed": ("Call.TransferFailed", "H role code reason"),
    "Forwarding": ("Call.Forwarding", ""),
    "PushSent": ("Call.PushSent", "result"),
    "RtpStopped": ("Call.RtpStopped", ""),
    "RtpResumed": ("Call.RtpResumed", ""),
    "AudioQualityDetected": ("Call.AudioQualityDetected", "quality"),
    "MediaStatisticsReceived": ("Call.MediaStatisticsReceived", "audio"),
    "BeepDetectionComplete": ("Call.BeepDetectionComplete", "frequencies timeout"),
    "BeepDetectionError": ("Call.BeepDetectionError", "reason"),
    "AudioIdentificationStarted": ("Call.AudioIdentificationStarted", ""),
    "AudioIdentificationStopped": ("Call.AudioIdentificationStopped", ""),
    "AudioIdentificationError": ("Call.AudioIdentificationError", ""),
    "AudioIdentificationResult": (
        "Call.AudioIdentificationResult",
        "audio_type audio_sub_type confidence",
    ),
    "Statistics": ("Call.Statistics", ""),
}
WATCHDOG_EVENTS = {
    "NoInboundMedia": ("Watchdog.NoInboundMedia", "call silent_for_s"),
    "DeadAir": ("Watchdog.DeadAir", "silent_for_s"),
    "CallTooLong": ("Watchdog.CallTooLong", "call duration_s"),
    "AgentSilent": ("Watchdog.AgentSilent", "client silent_for_s reason"),
}
TABLES = {AppEvents: APP_EVENTS, CallEvents: CALL_EVENTS, WatchdogEvents: WATCHDOG_EVENTS}
ALL_EVENTS: list[tuple[type[Event], str, str]] = [
    (namespace.members()[name], wire, fields)
    for namespace, table in TABLES.items()
    for name, (wire, fields) in table.items()
]


def a_call() -> Call:
    nobody: Any = None  # nothing is posted
    unit: Any = Unit(nobody, "call-7")  # all that events ask of a call
    return unit  # type: ignore[no-any-return]


def an(kind: type[Event]) -> Event:
    """An event of ``kind`` whose required fields are filled in."""
    given: dict[str, Any] = {
        field.name: a_call() if field.name in ("call", "client", "websocket") else "given"
        for field in attrs.fields(cast("Any", kind))
        if field.default is attrs.NOTHING
    }
    return kind(**given)


class TestTables:
    def test_every_name_of_voxengine_is_there_and_no_other(self) -> None:
        assert (len(APP_EVENTS), len(CALL_EVENTS)) == (7, 41)
        for namespace, table in TABLES.items():
            assert set(namespace.members()) == set(table)

    @pytest.mark.parametrize(("kind", "wire", "fields"), ALL_EVENTS, ids=lambda value: str(value))
    def test_wire_string_and_fields(self, kind: type[Event], wire: str, fields: str) -> None:
        assert kind.name == wire
        names = set(fields.split())
        if kind in CallEvents.members().values():
            names |= {"call"}
        if "H" in names:
            names = names - {"H"} | {"headers"}
        assert {field.name for field in attrs.fields(cast("Any", kind))} == names

    def test_wire_strings_are_unique(self) -> None:
        wires = [wire for _, wire, _ in ALL_EVENTS]
        assert len(set(wires)) == len(wires)

    def test_events_of_a_call_know_it(self) -> None:
        for kind in (*CallEvents.members().values(), AppEvents.CallAlerting):
            event = an(kind)
            assert isinstance(event, CallEvent)
            assert event.id == "call-7"

    def test_session_events_are_the_ones_the_engine_posts(self) -> None:
        assert AppEvents.Started is session_events.Started
        assert AppEvents.Terminating is session_events.Terminating
        assert AppEvents.Terminated is session_events.Terminated

    def test_all_is_complete(self) -> None:
        public = {
            name
            for name, value in vars(events_module).items()
            if not name.startswith("_")
            and getattr(value, "__module__", "") == events_module.__name__
        }
        assert public == set(events_module.__all__)


class TestEvents:
    @pytest.mark.parametrize(("kind", "wire", "fields"), ALL_EVENTS, ids=lambda value: str(value))
    def test_each_can_be_made_is_frozen_and_explained(
        self, kind: type[Event], wire: str, fields: str
    ) -> None:
        event = an(kind)
        assert kind.__doc__
        assert not hasattr(event, "__dict__")
        for name in ("name", *(field.name for field in attrs.fields(cast("Any", kind)))):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(event, name, "changed")

    @pytest.mark.parametrize(("kind", "wire", "fields"), ALL_EVENTS, ids=lambda value: str(value))
    def test_each_can_be_traced(self, kind: type[Event], wire: str, fields: str) -> None:
        entries: list[Entry] = []
        trace = Trace(now=lambda: 0.0, masking=Masker())
        trace.add_sink(entries.append)
        trace.event(an(kind))
        assert [entry.name for entry in entries] == [wire]
        assert wire.encode() in entries[0].to_json()
        about_a_call = any(
            field.name in ("call", "client", "websocket")
            for field in attrs.fields(cast("Any", kind))
        )
        assert entries[0].unit == ("call-7" if about_a_call else "")

    def test_fields_are_given_by_name_only(self) -> None:
        make: Any = CallEvents.StateChanged
        with pytest.raises(TypeError):
            make(a_call(), "ALERTING", "CONNECTED")

    def test_what_voxengine_may_leave_out_has_a_default(self) -> None:
        event = CallEvents.Disconnected(call=a_call())
        assert (event.internal_code, event.reason, event.duration) == (0, "", 0.0)
        assert event.headers == {}
        assert CallEvents.PlaybackFinished(call=a_call()).error is None
        assert CallEvents.BeepDetectionComplete(call=a_call()).timeout is None

    @pytest.mark.parametrize(
        ("kind", "wrong", "right"),
        [
            (AppEvents.CallAlerting, "caller_id", "callerid"),
            (AppEvents.CallAlerting, "displayName", "display_name"),
            (CallEvents.Disconnected, "internalCode", "internal_code"),
            (CallEvents.ToneReceived, "tones", "tone"),
        ],
    )
    def test_a_misspelt_field_names_the_real_one(
        self, kind: type[Event], wrong: str, right: str
    ) -> None:
        with pytest.raises(UnknownName) as caught:
            getattr(an(kind), wrong)
        title = f"{kind.__qualname__} has no {wrong!r}"
        assert str(caught.value) == f"{title}; did you mean {right!r}?"
        assert not hasattr(an(kind), wrong)

    def test_headers_are_not_shared(self) -> None:
        one = CallEvents.Ringing(call=a_call())
        two = CallEvents.Ringing(call=a_call())
        assert one.headers is not two.headers

    def test_media_statistics_have_both_directions(self) -> None:
        audio = CallMediaStatistics(in_=[MediaSample(id="a", audio_level=-20.0)])
        event = CallEvents.MediaStatisticsReceived(call=a_call(), audio=audio)
        assert event.audio.in_[0].audio_level == -20.0
        assert event.audio.out == ()

    def test_the_constant_is_what_is_subscribed_to(self) -> None:
        call = a_call()
        heard = io.StringIO()

        def on_tone(event: CallEvents.ToneReceived) -> None:
            heard.write(event.tone)

        call.add_event_listener(CallEvents.ToneReceived, on_tone)
        assert call.listeners.kinds == {CallEvents.ToneReceived}
        for handler in call.listeners.snapshot(CallEvents.ToneReceived):
            handler(CallEvents.ToneReceived(call=call, tone="#"))
        assert heard.getvalue() == "#"


class TestMisspelling:
    @pytest.mark.parametrize(
        ("namespace", "wrong", "right"),
        [
            (AppEvents, "CallAlert", "CallAlerting"),
            (AppEvents, "HTTPRequest", "HttpRequest"),
            (CallEvents, "Disconnect", "Disconnected"),
            (CallEvents, "call_connected", "Connected"),
            (WatchdogEvents, "DeathAir", "DeadAir"),
        ],
    )
    def test_the_nearest_name_is_given(self, namespace: Any, wrong: str, right: str) -> None:
        with pytest.raises(UnknownName, match=f"has no '{wrong}'; did you mean '{right}'\\?$"):
            getattr(namespace, wrong)

    def test_an_invented_name_fails_at_once(self) -> None:
        namespace: Any = CallEvents
        with pytest.raises(UnknownName, match="CallEvents has no 'PCM'"):
            _ = namespace.PCM


RIGHT = """
from voxpy import VoxEngine
from voxpy.call import Call
from voxpy.events import AppEvents, CallEvents, WatchdogEvents
from voxpy.realtime.client import RealtimeAPIClient
from voxpy.inworld import Events, RealtimeAPIEvents

def started(event: AppEvents.Started) -> None:
    print(event.session_id.upper())

async def alerting(event: AppEvents.CallAlerting) -> None:
    call = event.call
    call.add_event_listener(CallEvents.Connected, connected)
    call.add_event_listener(CallEvents.Disconnected, lambda e: print(e.duration + 1))
    call.answer({"X-Greeting": "hi"}, display_name="Desk")
    gone = await call.wait_event(CallEvents.Failed, timeout_s=5)
    print(gone.code + 1)

async def connected(event: CallEvents.Connected) -> None:
    event.call.send_media_to(event.call)

def dead(event: WatchdogEvents.DeadAir) -> None:
    print(event.silent_for_s / 2)

def talk(call: Call, client: RealtimeAPIClient) -> None:
    VoxEngine.add_event_listener(AppEvents.Started, started)
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    call.add_event_listener(CallEvents.Failed, lambda: print("nobody came"))
    recorder = VoxEngine.create_recorder()
    call.send_media_to(recorder)
    call.send_media_to(VoxEngine.create_asr(profile="en-US"))
    VoxEngine.create_conference().send_media_to(call)
    call.send_media_to(client)
    client.send_media_to(call)
    client.add_event_listener(RealtimeAPIEvents.ResponseOutputAudioTranscriptDone, said)
    client.add_event_listener(Events.WebSocketMediaEnded, lambda e: print(e.media_info.duration))

def said(event: RealtimeAPIEvents.ResponseOutputAudioTranscriptDone) -> None:
    text: str = event.transcript + event.item_id
    print(text, event.data.payload["transcript"], event.client.id())

def spoke(event: RealtimeAPIEvents.InputAudioBufferSpeechStarted) -> None:
    at_ms: float | None = event.audio_start_ms
    print(at_ms)
"""
WRONG = """
from voxpy.call import Call
from voxpy.events import AppEvents, CallEvents
from voxpy.inworld import Inworld, RealtimeAPIEvents

S: Inworld.SessionParameters = {"session": {"instrctions": ""}}  # error: typeddict-unknown-key

def failed(event: CallEvents.Failed) -> None: ...
def said(event: RealtimeAPIEvents.ResponseOutputAudioTranscriptDone) -> None:
    at_ms: int = event.transcript  # error: assignment
    event.response  # error: attr-defined

def listen(call: Call) -> None:
    call.add_event_listener(CallEvents.Connected, failed)  # error: arg-type
    call.add_event_listener(CallEvents.PCM, failed)  # error: attr-defined
    call.add_event_listener(7, failed)  # error: call-overload
    call.callId()  # error: attr-defined
    call.send_media_to("me")  # error: arg-type

def alerting(event: AppEvents.CallAlerting) -> None:
    event.number  # error: attr-defined
"""


@pytest.mark.slow
def test_mypy_accepts_a_right_scenario_and_rejects_a_wrong_one(tmp_path: Path) -> None:
    checker = pytest.importorskip("mypy.api", reason="mypy comes with the dev extra")
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(RIGHT)
    wrong.write_text(WRONG)
    # The checkout's cache and settings: the second run takes seconds. Errors of voxpy's own modules
    # are not this test's business.
    output, problems, _ = checker.run(
        [
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache")),
            *("--python-executable", sys.executable),
            *("--follow-imports", "silent", "--no-error-summary", "--hide-error-context"),
            *("--no-pretty", str(right), str(wrong)),
        ]
    )
    assert problems == ""
    found = set()
    for line in output.splitlines():
        where, _, message = line.partition(": error: ")
        if message:
            file, _, number = where.rpartition(":")
            found.add((Path(file).name, int(number), message.rpartition("[")[2].rstrip("]")))
    expected = {
        ("wrong.py", number, line.partition("# error: ")[2])
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "# error: " in line
    }
    assert len(expected) == 9
    assert found == expected, output
