"""``voxpy call sip:…``: a caller's script at a SIP phone, against a host and against a phone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from tests.channels.sip.conftest import hosted
from voxpy.engine.trace import Entry
from voxpy.errors import ConnectFailed
from voxpy.lab.sipcall import sip_plan
from voxpy.localagent.engines import Engines
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.dialledcall import DialledCall, DialledCallResult
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing.sipphone import sip_phone

pytestmark = pytest.mark.slow

MENU = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    call.add_event_listener(CallEvents.ToneReceived, lambda e: call.send_message(f"you: {e.tone}"))
    call.add_event_listener(CallEvents.MessageReceived, lambda e: call.send_digits("7"))
    call.handle_tones(True)
    call.answer()
    call.send_media_to(call)
"""


class Watch:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def progress(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...
    def heading(self, text: str) -> None: ...

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def told(self, name: str) -> list[str]:
        return [e.personal["text"] for e in self.entries if e.name == name]


async def called(
    uri: str, steps: str, folder: Path, engines: Engines, *, user: str = "", password: str = ""
) -> tuple[DialledCallResult, Watch]:
    script = parse_script(f"steps:\n{steps}", file="caller.yaml", folder=folder)
    watch = Watch()
    plan = sip_plan(
        uri,
        call_id="call-1",
        script=script,
        folder=folder / "calls",
        make_engines=lambda: engines,
        user=user,
        password=password,
    )
    with trio.fail_after(60):
        return await DialledCall(plan, watch).run(), watch


@pytest.fixture
def engines() -> Engines:
    return scripted_engines(ScriptedResponder([]))


async def test_a_script_acts_at_a_phone(tmp_path: Path, engines: Engines) -> None:
    steps = """
- wait: answered
- say: one two three four five six
- expect: one
- press: '5'
- message: hello
- wait: 1
- hang_up
"""
    users = {"routing": "users: {anna: ANNA}\n", "environ": {"ANNA": "a"}}
    async with hosted(tmp_path, scenario=MENU, **users) as host:
        call = partial(called, host.uri("menu"), steps, tmp_path, engines)
        result, watch = await call(user="anna", password="a")
    assert result.failure == ""
    assert watch.told("caller receives message") == ["you: 5"]
    assert watch.told("caller receives digits") == ["7"]
    assert (tmp_path / "calls" / "call.wav").stat().st_size > 16_000
    assert result.end.detail == "200 Hung up by the scenario"


async def test_who_does_not_answer_and_who_is_not_there(tmp_path: Path, engines: Engines) -> None:
    async with hosted(tmp_path, pattern="echo") as host:
        result, _ = await called(host.uri("x"), "- wait: answered", tmp_path, engines)
    assert "404" in result.failure
    with pytest.raises(ConnectFailed, match=r"no such host: nowhere\.invalid"):
        await called("sip:a@nowhere.invalid", "- wait: answered", tmp_path, engines)


async def test_a_phone_is_called_and_asked_to_transfer(tmp_path: Path, engines: Engines) -> None:
    async with sip_phone(user="bert", server="127.0.0.1:9") as bert:
        uri = f"sip:bert@127.0.0.1:{bert.port}"
        steps = f"- wait: answered\n- transfer: sip:bert@127.0.0.1:{bert.port}"
        result, _ = await called(uri, steps, tmp_path, engines)
        assert result.failure == ""
        assert len(bert.calls) == 3  # called, sent to itself: it calls, and is called
