"""``voxpy run --trunk``: a real phone is called and becomes the caller of a local session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from tests.channels.sip.conftest import until
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.channels.sip.settings import SipTrunk
from voxpy.cli import main
from voxpy.engine.loader import compile_scenarios
from voxpy.errors import CallFailed
from voxpy.lab.trunkcall import TrunkCall
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, LocalCallResult, run_local_call
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing.sipphone import PhoneCall, SipPhone, sip_phone
from voxpy.wire.sip.values import parse_uri

slow = pytest.mark.slow
ECHO = (Path(__file__).parents[2] / "scenarios" / "echo.py").read_text()
CALLS_OUT = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.Started)
def started(event):
    call = VoxEngine.call_pstn(VoxEngine.custom_data(), "+15550100")
    call.add_event_listener(CallEvents.Connected, lambda: call.send_media_to(call))
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
"""


class Watch:
    def progress(self, text: str) -> None: ...
    def entry(self, entry: Any) -> None: ...
    def session_began(self, session: Any) -> None: ...


def local(folder: Path, source: str, **options: Any) -> LocalCall:
    path = folder / "scenario.py"
    path.write_text(source)
    engines = scripted_engines(ScriptedResponder([]))
    return LocalCall(
        program=compile_scenarios([path]),
        script=parse_script("steps:\n- wait: answered", file="c.yaml", folder=folder),
        agent="ws://nobody.test/",
        session_id="s-1",
        secrets=Secrets(folder / "secrets.env", environ={}),
        base=folder / ".voxpy",
        make_engines=lambda: engines,
        instead=TrunkCall(**options).run,
    )


def trunk_to(phone: SipPhone) -> SipTrunk:
    return SipTrunk(name="t", uri=parse_uri(f"sip:127.0.0.1:{phone.port}"), callerid="+15557777")


def is_loud(call: PhoneCall) -> bool:
    heard = b"".join(call.heard)
    return bool(heard) and int(abs(decode(heard, PCMU).astype(int)).max()) > 5000


async def talk_and_hang_up(phone: SipPhone) -> None:
    """Pick up, hear oneself, hang up."""

    def heard() -> bool:
        if phone.calls and not phone.calls[0].is_speaking:
            phone.calls[0].says(encode(dtmf("5", tone_ms=200), PCMU))
        return bool(phone.calls) and is_loud(phone.calls[0])

    await until(heard)
    phone.calls[0].hang_up()


@slow
@pytest.mark.parametrize("way", ["trunk", "direct", "data"])
async def test_a_phone_rings_and_hears_itself(tmp_path: Path, way: str) -> None:
    results: list[LocalCallResult] = []

    async def run(call: LocalCall) -> None:
        results.append(await run_local_call(call, Watch()))

    async with sip_phone(user="bert", server="127.0.0.1:9") as phone, trio.open_nursery() as tasks:
        trunk, number = trunk_to(phone), "+15550199"
        call = {
            "trunk": partial(local, tmp_path, ECHO, to=number, trunk=trunk),
            "direct": partial(
                local, tmp_path, ECHO, to=f"sip:bert@127.0.0.1:{phone.port}", trunk=None
            ),
            "data": partial(local, tmp_path, CALLS_OUT, to="", trunk=trunk, data=number),
        }[way]()
        tasks.start_soon(run, call)
        await talk_and_hang_up(phone)
    (result,) = results
    assert result.end.reason.value == "terminated"
    if way == "trunk":
        assert result.record.personal["callerid"] == number
        assert result.record.personal["destination"] == "+15557777"
        assert result.record.recordings


@slow
async def test_a_phone_that_is_busy(tmp_path: Path) -> None:
    async with sip_phone(user="bert", server="127.0.0.1:9") as phone:
        phone.answers = lambda call: call.leg.reject(486, {})
        call = local(tmp_path, ECHO, to="+15550199", trunk=trunk_to(phone))
        with pytest.RaisesGroup(CallFailed, allow_unwrapped=True, flatten_subgroups=True):
            await run_local_call(call, Watch())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trunk", "main"], "say which, --to"),
        (["--trunk", "main", "--to", "1", "--fast"], "it goes with no --fast"),
        (["--trunk", "direct", "--to", "1"], "is no SIP address: user@host"),
        (["--trunk", "mian", "--to", "1"], "has no trunk 'mian'; did you mean 'main'?"),
        (["--trunk", "api", "--to", "1"], "calls by its provider's API"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "routing.yaml").write_text(
        "rules: [{name: all, pattern: '.*', scenarios: [echo.py]}]\n"
        "trunks: {main: {sip: sip.example.com}, api: {provider: twilio}}\n"
    )
    given = ["--routing", str(tmp_path / "routing.yaml"), "--out", str(tmp_path / ".voxpy")]
    result = CliRunner().invoke(main, ["run", str(tmp_path / "echo.py"), *arguments, *given])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
