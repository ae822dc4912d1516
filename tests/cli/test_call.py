"""``voxpy call``: what it makes of its options, and a whole call to a ``voxpy serve``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from voxpy.audio.frame import PCMA, PCMU, pcm16
from voxpy.channels.mediastream.credentials import Guard
from voxpy.channels.providers.http import Request
from voxpy.channels.providers.table import PROVIDERS
from voxpy.cli import main
from voxpy.cli.call import _plan
from voxpy.cli.terminal.screen import Screen
from voxpy.host.requesthead import called_base
from voxpy.project.secrets import Secrets

OPTIONS: dict[str, Any] = {
    "target": "+15550199",
    "provider": None,
    "caller": None,
    "callerid": None,
    "destination": None,
    "host": "127.0.0.1:8080",
    "codec": None,
    "parameters": (),
    "secrets_path": Path("secrets.env"),
    "public_url": None,
    "user": None,
    "password_secret": None,
    "play": False,
    "mic": False,
    "out": Path(".voxpy"),
    "as_json": True,
}


def plan(**options: Any) -> Any:
    return _plan({**OPTIONS, **options}, Screen(quiet=True))


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "url", "provider"),
    [
        ({}, "ws://127.0.0.1:8080/media/twilio", "twilio"),
        ({"provider": "vonage"}, "ws://127.0.0.1:8080/media/vonage", "vonage"),
        ({"host": "h:1"}, "ws://h:1/media/twilio", "twilio"),
        ({"target": "ws://h/media/telnyx"}, "ws://h/media/telnyx", "telnyx"),
        ({"target": "wss://h/media/telnyx?a=b"}, "wss://h/media/telnyx?a=b", "telnyx"),
        ({"target": "wss://h/here"}, "wss://h/here", "twilio"),
        ({"target": "wss://h/here", "provider": "plivo"}, "wss://h/here", "plivo"),
        ({"target": "wss://h", "provider": "plivo"}, "wss://h/media/plivo", "plivo"),
        ({"target": "tcp://h:9092"}, "tcp://h:9092", "audiosocket"),
    ],
)
def test_where_it_calls_and_as_whom(options: dict[str, Any], url: str, provider: str) -> None:
    made = plan(**options)
    assert (made.url, made.channel) == (url, provider)


@pytest.mark.parametrize(
    ("options", "fmt"),
    [
        ({}, PCMU),
        ({"provider": "vonage"}, pcm16(16000)),
        ({"provider": "telnyx", "codec": "pcma"}, PCMA),
        ({"provider": "asterisk", "codec": "pcm16/48000"}, pcm16(48000)),
    ],
)
def test_the_codec_is_the_providers_usual_one(options: dict[str, Any], fmt: object) -> None:
    assert plan(**options).call.format == fmt


def test_who_calls_whom() -> None:
    call = plan().call
    assert (call.caller, call.callee) == ("+15550100", "+15550199")
    call = plan(callerid="1", destination="2", parameters=("plan=gold", "x=a=b")).call
    assert (call.caller, call.callee) == ("1", "2")
    assert call.parameters == {"plan": "gold", "x": "a=b"}


@pytest.mark.parametrize("public", [None, "https://calls.example.com"])
@pytest.mark.parametrize(
    "provider", sorted(n for n, p in PROVIDERS.items() if p.transport == "websocket")
)
def test_the_call_is_signed_so_that_the_host_lets_it_in(
    tmp_path: Path, provider: str, public: str | None
) -> None:
    path = tmp_path / "secrets.env"
    signatures = [kind.signature for kind in PROVIDERS.values() if kind.signature is not None]
    names = {each.secret for each in signatures if each.sign is not None} | {"MEDIA_TOKEN"}
    path.write_text("".join(f"{name}=secret-of-{name}\n" for name in names), encoding="utf-8")
    made = plan(provider=provider, secrets_path=path, public_url=public)
    headers = {name.lower(): value for name, value in made.headers}
    base = called_base({"host": "127.0.0.1:8080"}, public_url=public or "", tls=False)
    called = f"{base.replace('http', 'ws', 1)}/media/{provider}"
    guard, kind = Guard(Secrets(path, environ={})), PROVIDERS[provider]
    assert guard.refuse_stream(kind, Request(url=called, headers=headers)) == ""
    assert guard.refuse_stream(kind, Request(url=called)) != ""


def test_without_secrets_nothing_is_signed(tmp_path: Path) -> None:
    assert plan(secrets_path=tmp_path / "none.env").headers == ()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["+1", "--provider", "twillio"], "no provider 'twillio'; did you mean 'twilio'"),
        (["+1", "--codec", "pcma"], "twilio carries pcmu/8000, not pcma/8000"),
        (["+1", "--codec", "mp3"], "'mp3': encoding 'mp3'"),
        (["+1", "--codec", "pcmu/x"], "'pcmu/x'"),
        (["+1", "--param", "x"], "'x' is not NAME=VALUE"),
        (["+1", "--provider", "audiosocket"], "at its own port: tcp://127.0.0.1:PORT"),
        (["+1", "--public-url", "calls.example"], "such as https://calls.example.org, not"),
        (["+1", "--caller", "nobody.yaml"], "no such caller script or WAV file"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(main, ["call", *arguments])
    assert result.exit_code == 2
    assert problem in result.output


def test_a_sip_address_is_called_by_a_sip_phone(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text("ANNA=open sesame\n")
    made = plan(
        target="sip:echo@127.0.0.1:5070;transport=tcp",
        user="anna",
        password_secret="ANNA",
        secrets_path=secrets,
    )
    assert (made.channel, made.call.caller, made.call.callee) == ("sip", "anna", "echo")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sip:"], "this is no URI"),
        (["sip:a@b", "--provider", "twilio"], "a SIP call has no --provider"),
        (["sip:a@b", "--param", "a=b"], "a SIP call has no --param"),
        (["sip:a@b", "--password-secret", "NONE"], "NONE"),
    ],
)
def test_a_sip_call_that_cannot_be_meant(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["call", *arguments, "--no-play"])
    assert result.exit_code == 2
    assert words in result.output


# -- a whole call ----------------------------------------------------------------------------------

TONES = """
import voxpy.cli.options as options
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.service import ScriptedResponder

brain = ScriptedResponder(["Hello there", "Well then"] * 9)
options.agent_engines = lambda _: scripted_engines(brain)
from voxpy.__main__ import main
main()
"""
ROUTING = """
rules:
  - name: all
    pattern: '\\+15550199'
    scenarios: [answer.py]
"""
PATIENT = ("--port", "0", "--max-late-ms", "10000")  # others may keep this machine busy
PATIENCE_S = 120
ANSWER = Path(__file__).parents[2] / "scenarios" / "answer.py"
SAID = " ".join(["hello"] * 8)
"""Of few words a busy machine may lose all, and then nobody replies."""
STEPS = f"""
steps:
- wait: {{for: agent_finished, within_s: 60}}
- say: {SAID}
- wait: agent_finished
"""


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run voxpy with tone engines in ``folder``; kill it if it is still there at the end."""
    environment = {k: v for k, v in os.environ.items() if k != "INWORLD_API_KEY"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", TONES, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """Serve ``answer.py`` to one number; return the host's address."""
    (tmp_path / "routing.yaml").write_text(ROUTING, encoding="utf-8")
    (tmp_path / "answer.py").write_text(ANSWER.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "secrets.env").write_text("INWORLD_API_KEY=any-key\n", encoding="utf-8")
    (tmp_path / "caller.yaml").write_text(STEPS, encoding="utf-8")
    with running(tmp_path, "serve", "--agent", "local", *PATIENT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://(127\.0\.0\.1:\d+)", line):
                yield found[1]
                return
        raise AssertionError("the host did not start")


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    with running(folder, "call", *arguments) as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out)


@pytest.mark.slow
def test_a_call_to_a_running_host(tmp_path: Path, host: str) -> None:
    arguments = ("+15550199", "--host", host, "--caller", "caller.yaml", "--no-play")
    shown = call(tmp_path, *arguments)
    assert shown.returncode == 0, shown.stdout
    assert "+15550100 calls +15550199 · twilio · ws://" in shown.stdout
    assert re.search(r"s hello hello", shown.stdout)
    assert "· reply after " in shown.stdout
    assert "the provider held at most" in shown.stdout
    (folder,) = (tmp_path / ".voxpy" / "calls").iterdir()
    assert {p.name for p in folder.iterdir()} == {
        "call.wav",
        "trace.jsonl",
        "session.log",
        "record.json",
    }
    told = call(tmp_path, *arguments, "--json", "--provider", "vonage")
    assert told.returncode == 0, told.stdout
    record = json.loads(told.stdout)
    assert record["channel"] == "vonage"
    assert len(record["reply_ms"]) == 1


@pytest.mark.slow
def test_calls_that_fail_say_so(tmp_path: Path, host: str) -> None:
    missed = "steps:\n- expect: {heard: never said, within_s: 1}\n"
    (tmp_path / "missed.yaml").write_text(missed, encoding="utf-8")
    shown = call(tmp_path, "+15550199", "--host", host, "--caller", "missed.yaml", "--no-play")
    assert shown.returncode == 1
    assert "missed.yaml:2: step 1 (expect: /never said/)" in shown.stdout
    unknown = call(tmp_path, "999", "--host", host, "--caller", "caller.yaml", "--no-play")
    assert unknown.returncode == 1
    assert "the call was over: " in unknown.stdout
    url = f"ws://{host}/media/nowhere"
    nowhere = call(tmp_path, url, "--caller", "caller.yaml", "--no-play")
    assert nowhere.returncode == 1
    assert f"error: {url}: refused with HTTP 404: no channel here; there are " in nowhere.stdout


@pytest.mark.slow
def test_ctrl_c_hangs_up_in_order(tmp_path: Path, host: str) -> None:
    (tmp_path / "stays.yaml").write_text("steps:\n- wait: answered\n- wait: 60\n", encoding="utf-8")
    arguments = ("call", "+15550199", "--host", host, "--caller", "stays.yaml", "--no-play")
    with running(tmp_path, *arguments) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "CALLER" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "hangs up" in out
    assert "Hung up by the caller" in out


@pytest.mark.slow
def test_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("steps:\n- wait: answered\n", encoding="utf-8")
    shown = call(tmp_path, "1", "--host", "127.0.0.1:9", "--caller", "c.yaml", "--no-play")
    assert shown.returncode == 1
    assert "is `voxpy serve` running there?" in shown.stdout
