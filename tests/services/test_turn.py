"""Smart Turn: what it hears, and what it says of speech that is over and speech that is not."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from voxpy.pipecat import RATE_HZ, log_mel, probability_of_end
from voxpy.testing import CallKit

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("pipecat") is None, reason="voxpy[turn] is not installed"
)


def test_the_spectrogram_has_its_peak_where_the_tone_is() -> None:
    time_s = np.arange(RATE_HZ * 8) / RATE_HZ
    for hz, band in ((440.0, 11), (1000.0, 26), (4000.0, 62)):
        spectrum = log_mel(np.sin(2 * np.pi * hz * time_s).astype(np.float32))
        assert spectrum.shape == (80, 800)
        assert abs(int(spectrum.mean(axis=1).argmax()) - band) <= 1
        assert -1.5 < spectrum.min() < spectrum.max() < 3


@needs_model
def test_it_gives_a_probability() -> None:
    assert 0 <= probability_of_end(np.zeros(RATE_HZ, np.int16)) <= 1


SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, Pipecat, VoxEngine
from voxpy.errors import EngineMissing

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    try:
        turn = await Pipecat.create_turn_detector()
    except EngineMissing as missing:
        Logger.write(str(missing))
        return
    event.call.send_media_to(turn)
    turn.add_event_listener(
        Pipecat.TurnEvents.Result, lambda e: Logger.write(f"{e.data.payload}"))
    await event.call.wait_event(CallEvents.Connected)
    turn.predict()
    turn.reset()
"""


async def test_in_a_call(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(SCENARIO) as world:
        caller = await world.dial()
        await caller.pause(1)
        caller.hang_up()
        await world.wait_ended()
    (said,) = [str(e.personal["text"]) for e in world.find("Logger.write")]
    assert "endOfTurn" in said or "pip install 'voxpy[turn]'" in said
