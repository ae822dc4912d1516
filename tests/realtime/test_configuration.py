"""What a session.update becomes on its way out: formats, tools, and all of it once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from voxpy.audio.frame import PCMA, PCMU, pcm16
from voxpy.realtime.configuration import AudioChoice, Configuration, carried, with_formats
from voxpy.realtime.session import misspelt
from voxpy.testing.calls import CallKit
from voxpy.testing.service import Service, Talk

PCM = {"type": "audio/pcm", "rate": 24000}
MULAW = {"type": "audio/pcmu"}
ALAW = {"type": "audio/pcma"}


@pytest.mark.parametrize(
    ("choice", "legs", "expected"),
    [
        ("auto", ["pcmu"], MULAW),
        ("auto", ["pcma", "pcma"], ALAW),
        ("auto", ["pcm16"], None),
        ("auto", ["pcmu", "pcma"], None),
        ("auto", [], None),
        ("pcm16", ["pcmu"], PCM),
        ("pcmu", ["pcm16"], MULAW),
        ("pcma", [], ALAW),
        (None, ["pcmu"], None),
    ],
)
def test_which_format_is_asked_for(
    choice: AudioChoice | None, legs: list[str], expected: object
) -> None:
    fields = with_formats({"session": {"model": "m"}}, choice, legs=legs)
    if expected is None:
        assert fields == {"session": {"model": "m"}}
    else:
        sides = {"input": {"format": expected}, "output": {"format": expected}}
        assert fields == {"session": {"model": "m", "audio": sides}}


@pytest.mark.parametrize(
    "session",
    [
        {"audio": {"input": {"format": PCM}}},
        {"audio": {"output": {"format": None}}},
        {"audio": 7},
        7,
    ],
)
def test_a_format_that_is_named_or_an_update_that_is_wrong_is_left_alone(session: object) -> None:
    assert with_formats({"session": session}, "pcmu", legs=[]) == {"session": session}


def test_nothing_the_scenario_gave_is_changed() -> None:
    given: dict[str, Any] = {"session": {"audio": {"output": {"voice": "Ashley"}}}}
    out = with_formats(given, "pcma", legs=[])
    assert given == {"session": {"audio": {"output": {"voice": "Ashley"}}}}
    assert out["session"]["audio"]["output"] == {"voice": "Ashley", "format": ALAW}


def test_which_formats_are_carried() -> None:
    assert carried("pcm16", 16000) == pcm16(16000)
    assert (carried("pcmu", 8000), carried("pcma", 8000)) == (PCMU, PCMA)
    assert carried("float32", 24000) == pcm16(24000)  # which the wire makes of it
    with pytest.raises(ValueError, match="opus at 48000 Hz"):
        carried("opus", 48000)


# -- tools -----------------------------------------------------------------------------------------


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, **more}


def complete(configuration: Configuration, session: object) -> Any:
    return configuration.complete({"session": session}, legs=(), ready=True)["session"]


def test_tools_join_the_next_update_and_every_one_that_names_tools() -> None:
    configuration = Configuration(None)
    configuration.use_tools([tool("a")])
    assert not configuration.sent
    assert complete(configuration, {}) == {"tools": [tool("a")]}
    assert configuration.sent
    assert complete(configuration, {"voice": "x"}) == {"voice": "x"}
    assert complete(configuration, {"tools": [tool("b")]}) == {"tools": [tool("b"), tool("a")]}
    assert complete(configuration, {"tools": []}) == {"tools": [tool("a")]}


def test_tools_join_those_the_scenario_named_before() -> None:
    configuration = Configuration(None)
    assert complete(configuration, {"tools": [tool("b"), tool("a", old=1)]})
    configuration.use_tools([tool("a")])
    assert complete(configuration, {}) == {"tools": [tool("b"), tool("a")]}
    configuration.use_tools([tool("c")])
    assert complete(configuration, {}) == {"tools": [tool("b"), tool("a", old=1), tool("c")]}


@pytest.mark.parametrize("session", [None, "x", {"tools": "all"}])
def test_what_is_wrong_goes_out_as_it_is(session: object) -> None:
    configuration = Configuration(None)
    configuration.use_tools([tool("a")])
    assert complete(configuration, session) == session


# -- once more -------------------------------------------------------------------------------------


def test_all_updates_together_make_the_session_anew() -> None:
    configuration = Configuration("pcmu")
    updates: list[Mapping[str, Any]] = [
        {
            "instructions": "a",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "x": 1}}},
        },
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"speed": 1}}},
        {"instructions": "b", "audio": {"input": {"transcription": None}}},
    ]
    for n, session in enumerate(updates):
        configuration.complete({"session": session}, legs=(), ready=n > 0)
    assert configuration.anew({}) == {
        "instructions": "b",
        "audio": {
            "input": {
                "turn_detection": {"type": "semantic_vad"},
                "transcription": None,
                "format": MULAW,
            },
            "output": {"format": MULAW, "speed": 1},
        },
    }


def test_what_the_service_remembers_goes_with_it() -> None:
    configuration = Configuration(None)
    complete(configuration, {"providerData": {"memory": {"enabled": True}}})
    state = {"version": 3, "facts": ["likes tones"]}
    current = {"providerData": {"memory": {"enabled": True, "state": state}}, "model": "m"}
    assert configuration.anew(current) == {
        "providerData": {"memory": {"enabled": True, "state": state}}
    }
    assert configuration.anew({"providerData": 5}) == {
        "providerData": {"memory": {"enabled": True}}
    }


# -- as parameters ---------------------------------------------------------------------------------

SOURCE = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
from voxpy.errors import ScenarioError

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    try:
        client = await Inworld.create_realtime_api_client(session_key="k", OPTIONS)
    except ScenarioError as error:
        Logger.write(str(error))
        return
    R = Inworld.RealtimeAPIEvents
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update({"session": {}}))
"""
CALLER = "- wait: answered\n- wait: 1\n- hang_up"


async def listen(talk: Talk) -> None:
    await talk.open_session()
    await talk.stay()


@pytest.mark.parametrize(
    ("option", "expected"),
    [("'pcma'", ALAW), ("'pcm16'", PCM), ("'auto'", MULAW), ("None", None)],
)
def test_the_format_is_a_parameter(voxpy: CallKit, option: str, expected: object) -> None:
    service = Service(listen)
    voxpy.call(SOURCE.replace("OPTIONS", f"audio_format={option}"), CALLER, serve=service)
    (update,) = service.talks[0].sent("session.update")
    audio = update["session"].get("audio") or {"output": {}}
    assert audio["output"].get("format") == expected


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("audio_format='opus'", "one of 'auto', 'pcm16', 'pcmu', 'pcma' or None, not 'opus'"),
        ("renew_after_s=0", "renew_after_s must be above 0 seconds, not 0"),
    ],
)
def test_wrong_parameters_are_named(voxpy: CallKit, option: str, message: str) -> None:
    service = Service(listen)
    call = voxpy.call(SOURCE.replace("OPTIONS", option), CALLER, serve=service)
    assert message in call.log[0]
    assert service.talks == []


def test_what_is_probably_misspelt_is_told_and_what_is_only_unknown_is_not() -> None:
    session = {
        "instuctions": "Be brief.",
        "somethingElse": 1,
        "audio": {"input": {"turn_detecton": {}}, "output": {"voice": "Ashley"}},
    }
    assert list(misspelt({"session": session})) == [
        "there is no session.instuctions; did you mean 'instructions'?",
        "there is no session.audio.input.turn_detecton; did you mean 'turn_detection'?",
    ]
