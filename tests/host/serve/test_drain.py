"""Stopping: nobody is cut off, newcomers are told, and it ends."""

from __future__ import annotations

import json

import pytest

from tests.host.serve.conftest import Hosting
from voxpy.errors import HandshakeRefused


async def test_running_calls_finish_and_new_ones_are_refused(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        phones = [await running.phone() for _ in range(20)]
        await running.until(lambda: all(p.received for p in phones))
        running.host.drain()
        await running.until(lambda: running.host.admission.draining)
        with pytest.raises(HandshakeRefused, match="503"):
            await running.phone()
        health = await running.ask("GET", "/health")
        webhook = await running.ask("POST", "/twilio/voice", data={"To": "+15550002222"})
        before = [len(p.received) for p in phones]
        await running.until(
            lambda: all(len(p.received) > n + 5 for p, n in zip(phones, before, strict=True))
        )
        assert [p.info for p in phones] == [None] * 20
        assert not running.stopped.is_set()
        for phone in phones:
            phone.far_end_hangs_up()
        await running.stopped.wait()
    assert health.status_code == 503
    assert health.json()["status"] == "stopping"
    assert "busy" in webhook.text
    assert {e["data"]["reason"] for e in running.logged("call ended")} == {"terminated"}


LAST_WORDS = """
from voxpy import AppEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()

@VoxEngine.on(AppEvents.Terminating)
def terminating(event):
    Logger.write("my last words")
"""


async def test_after_the_limit_calls_end_in_order(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting(scenario=LAST_WORDS, drain_s=0.2) as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        running.host.drain()
        await running.stopped.wait()
        assert phone.info is not None
        assert phone.info.clean
    (ended,) = running.logged("call ended")
    assert ended["data"]["reason"] == "host shutdown"
    folder = running.folder / "sessions" / ended["data"]["session"]
    assert "my last words" in (folder / "session.log").read_text()
    record = json.loads((folder / "record.json").read_text())
    assert record["finish_reason"] == "Terminated administratively"


async def test_hurrying_ends_now_and_still_says_goodbye(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        running.host.drain()
        running.host.hurry()
        await running.stopped.wait()
        await running.until(lambda: phone.info)
        assert phone.info is not None
        assert phone.info.clean
    (ended,) = running.logged("call ended")
    assert ended["data"]["reason"] == "host shutdown"


STUBBORN = """
import trio
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def stubborn(event):
    event.call.answer()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
"""


async def test_a_handler_that_was_abandoned_is_counted_and_frees_its_slot(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(scenario=STUBBORN, most_calls=1, drain_s=1) as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        running.host.router.end_all("enough")
        await running.until(lambda: running.calls == 0)
        assert phone.info is not None
        told = (await running.ask("GET", "/metrics")).text
    assert 'voxpy_call_troubles_total{kind="abandoned_handlers"} 1.0' in told
    (ended,) = running.logged("call ended")
    record = running.folder / "sessions" / ended["data"]["session"] / "record.json"
    assert "abandoned: it ignores its cancellation" in json.loads(record.read_text())["warnings"]
