"""curl starts scenarios/outbound.py, a phone answers, curl feeds it, a WebSocket hears the call."""

from __future__ import annotations

import json
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from tests.channels.sip.peers.baresip import (
    ALIKE,
    RATE_HZ,
    Samples,
    baresip,
    recognised,
    speech_like,
)
from tests.channels.sip.peers.conftest import REPOSITORY
from tests.channels.sip.peers.processes import needs, running, until
from voxpy.audio.convert import decode
from voxpy.audio.frame import pcm16
from voxpy.audio.resample import Resampler
from voxpy.engine.ports import Endpoint
from voxpy.sockets import connect
from voxpy.testing import SocketPeer

pytestmark = [
    pytest.mark.slow,
    needs("baresip", "baresip-core"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
ROUTING = """
rules: [{name: outbound, pattern: outbound, scenarios: [%s/scenarios/outbound.py]}]
channels: {sip: {host: 127.0.0.1, port: 0, rtp_ports: 20000-29999}}
trunks: {carrier: {sip: '127.0.0.1:%d'}}
"""
LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:(\d+))")


async def curl(*arguments: str) -> Any:
    command = ["curl", "-sS", "--fail-with-body", *arguments]
    done = await trio.run_process(command, capture_stdout=True)
    return json.loads(done.stdout)


async def test_an_outbound_call_by_curl(tmp_path: Path) -> None:
    says = speech_like(30, seed=3)
    async with baresip("+15550188", says=says) as phone:
        (tmp_path / "routing.yaml").write_text(ROUTING % (REPOSITORY, phone.port))
        command = [sys.executable, "-m", "voxpy", "serve", str(tmp_path / "routing.yaml")]
        command += ["--port", "0", "--out", str(tmp_path / ".voxpy")]
        printed = tmp_path / "printed.txt"
        async with running(command, printed):
            await until(lambda: LISTENING.search(printed.read_text()), printed.read_text)
            found = LISTENING.search(printed.read_text())
            assert found is not None
            data = 'script_custom_data={"to":"+15550188","name":"Ann"}'
            begun = await curl(
                "-d", "rule_name=outbound", "--data-urlencode", data,
                f"{found[1]}/platform_api/StartScenarios",
            )  # fmt: skip
            access = begun["media_session_access_url"]
            await phone.sees("CALL_ESTABLISHED")

            where = Endpoint(host="127.0.0.1", port=int(found[2]), tls=False)
            url = access.replace("http://", "ws://")
            peer = SocketPeer(await connect(partial(_opened, where), url))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.run)
                heard = await peer.wait_heard(3.0)
                told = await curl("-d", "The doctor is waiting.", access)
                before = len(phone.heard())
                await phone.until(lambda: is_loud(phone.heard()[before:]), "what curl said")
                nursery.cancel_scope.cancel()
            await phone.hang_up()
            session = begun["call_session_history_id"]
            await until(
                lambda: f"session={session} reason=" in printed.read_text(), printed.read_text
            )
            shown = (await curl(f"{found[1]}/api/sessions/{session}"))["result"]
    assert told["outcome"] in ("answered", "left a message", "no answer to the question")
    assert peer.started[0].encoding == "PCM16"
    narrow = Resampler(16000, RATE_HZ).process(decode(heard, pcm16(16000)))
    assert recognised(narrow, says) > ALIKE, "the phone is heard on the WebSocket"
    assert [c["remote_number"] for c in shown["calls"]] == ["+15550188"]
    assert shown["calls"][0]["successful"] is True


def is_loud(samples: Samples) -> bool:
    return len(samples) > 0 and np.abs(samples.astype(float)).max() > 1000


async def _opened(where: Endpoint, _: Endpoint) -> trio.abc.Stream:
    return await trio.open_tcp_stream(where.host, where.port)
