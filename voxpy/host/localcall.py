"""One call on this machine: a simulated caller, a scenario, and an agent, local or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
import trio

from voxpy.audio.frame import pcm16
from voxpy.audio.line import Line
from voxpy.audio.resample import Resampler
from voxpy.audio.wav import read_wav, to_mono
from voxpy.channels.acting import act, spoken_steps
from voxpy.channels.caller import SimulatedCaller, StepFailed
from voxpy.channels.listening import Ears
from voxpy.channels.script import CallerScript, Expect, Interrupt, Play, Say, Step
from voxpy.channels.simulated import SimulatedLeg
from voxpy.channels.soundcard import SoundCard
from voxpy.engine import clock
from voxpy.engine.ending import End, EndReason
from voxpy.engine.loader import Program
from voxpy.engine.ports import OpenStream, RealtimeEndpoint
from voxpy.engine.settings import Settings
from voxpy.engine.streams import open_tcp
from voxpy.engine.trace import Entry
from voxpy.errors import ConfigError
from voxpy.host.record import CallRecord
from voxpy.host.secrets import Secrets
from voxpy.host.sessions import HostedSession, SessionPlan
from voxpy.host.streams import MemoryDialer
from voxpy.localagent.engines import Engines, Samples
from voxpy.localagent.server import serve_stream, serve_tcp
from voxpy.media.graph import Tap
from voxpy.wire.realtime.endpoint import DEFAULT_URL

__all__ = ["LocalCall", "LocalCallResult", "Observer", "run_local_call"]

LINE_HZ = 8000
VOICE_HZ = 24000
EAR_HZ = 16000
LOCAL_PATH = "/api/v1/realtime/session"
LOCAL_KEY = "local-agent-needs-no-key"
SETTLE_S = 10.0
"""After the end of a call, for the caller's recogniser to understand what it heard last."""


@attrs.frozen(kw_only=True)
class LocalCall:
    """What to run. ``agent`` is ``local``, ``inworld`` or a ws:// or wss:// URL.

    ``make_engines`` is called only if something must be heard or spoken. ``sound`` plays the call;
    if it has a microphone, the person at it is the caller and the script is only waited through.
    ``dialer`` makes what opens streams to an agent that is not local, in place of TCP: for virtual
    time.
    """

    program: Program
    script: CallerScript
    agent: str
    session_id: str
    secrets: Secrets
    base: Path
    make_engines: Callable[[], Engines]
    settings: Settings = attrs.field(factory=Settings)
    sound: SoundCard | None = None
    dialer: Callable[[trio.Nursery], OpenStream] | None = None


@attrs.frozen(kw_only=True)
class LocalCallResult:
    """How the call went. ``failure`` is why the caller's script was not met, if it was not."""

    end: End
    record: CallRecord
    folder: Path
    failure: str = ""
    interrupted: bool = False


class Observer(Protocol):
    """Whoever watches a local call: the terminal, or a test."""

    def progress(self, text: str) -> None:
        """Learn that something long has begun."""

    def entry(self, entry: Entry) -> None:
        """See an entry of the trace as it is written."""

    def session_began(self, session: HostedSession) -> None:
        """Get the session; ``session.session.end`` ends it."""


async def run_local_call(call: LocalCall, observer: Observer) -> LocalCallResult:
    """Run one call to its end. Raises what makes the call impossible: ConfigError, ScenarioError,
    EngineMissing; everything later is in the result.
    """
    speech = cache(call.make_engines)
    engines = speech() if call.agent == "local" or _needs_voice(call.script) else None
    async with trio.open_nursery() as nursery:
        sounds = await _prepare_sounds(call.script, engines, observer)
        if engines is not None and _needs_ears(call) and not clock.is_virtual():
            # While the phone rings and the agent greets; nobody needs to be heard before that.
            nursery.start_soon(engines.run, engines.ears.warm_up)
        open_stream, endpoint = await _agent(call, engines, nursery)
        media_clock = clock.MediaClock()
        nursery.start_soon(media_clock.run)
        leg = _make_leg(call)
        hosted = HostedSession(
            SessionPlan(
                session_id=call.session_id,
                rule_name="local",
                program=call.program,
                settings=call.settings,
                secrets=call.secrets,
                media_clock=media_clock,
                open_stream=open_stream,
                realtime=endpoint,
                base=call.base,
                speech=speech,
                sinks=[observer.entry],
                taps=[] if call.sound is None else [_sound_tap(call.sound, leg)],
            ),
            leg,
        )
        caller = SimulatedCaller(
            leg, ears=_ears(call.script, engines), note=partial(_note, hosted, leg.leg_id)
        )
        observer.session_began(hosted)
        result = await _run_both(call, hosted, caller, sounds)
        nursery.cancel_scope.cancel()
    return result


def _note(hosted: HostedSession, unit: str, name: str, **fields: object) -> None:
    if not hosted.finished:  # a recogniser in its thread may outlive a session that was cut off
        hosted.trace.step(name, unit=unit, **fields)


async def _run_both(
    call: LocalCall,
    hosted: HostedSession,
    caller: SimulatedCaller,
    sounds: dict[Step, Samples],
) -> LocalCallResult:
    performed = trio.Event()

    async def perform() -> None:
        try:
            await act(caller, call.script, sounds)
        except StepFailed as error:
            _note_failure(hosted, error)
            caller.hang_up()
        finally:
            performed.set()

    async def settle() -> None:
        with trio.move_on_after(SETTLE_S):
            await performed.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        nursery.start_soon(perform)
        end = await hosted.run(afterwards=settle)
        nursery.cancel_scope.cancel()
    return LocalCallResult(
        end=end,
        record=hosted.record,
        folder=hosted.folder.root,
        failure=hosted.record.personal["caller_failed"],
        interrupted=end.reason is EndReason.HOST_SHUTDOWN,
    )


def _note_failure(hosted: HostedSession, error: StepFailed) -> None:
    """Note that the script was not met, unless that is only because the session itself failed."""
    end = hosted.session.ended
    broken = end is not None and (end.reason.is_error or end.reason is EndReason.HOST_SHUTDOWN)
    if not broken and not hosted.finished:
        hosted.record.personal["caller_failed"] = str(error)
        hosted.trace.write(
            "error", "caller", message="the caller's script was not met", text=str(error)
        )


def _sound_tap(sound: SoundCard, leg: SimulatedLeg) -> Tap:
    """Play each tick, and let the person at the microphone speak into the leg."""

    def tap(said: bytes, heard: bytes) -> None:
        sound.tap(said, heard)
        spoken = sound.spoken()
        if spoken:
            leg.mouth.write(spoken)

    return tap


def _make_leg(call: LocalCall) -> SimulatedLeg:
    script, line = call.script, call.script.line
    options = {"loss": line.loss, "jitter_ms": line.jitter_ms, "noise_dbfs": line.noise_dbfs}
    return SimulatedLeg(
        leg_id="call-1",
        callerid=script.callerid,
        destination=script.destination,
        display_name=script.display_name,
        to_callee=Line(**options, seed=line.seed),  # type: ignore[arg-type]
        to_caller=Line(**options, seed=line.seed + 1),  # type: ignore[arg-type]
    )


async def _agent(
    call: LocalCall, engines: Engines | None, nursery: trio.Nursery
) -> tuple[OpenStream, RealtimeEndpoint]:
    dial: OpenStream = open_tcp if call.dialer is None else call.dialer(nursery)
    if call.agent == "inworld":
        return dial, RealtimeEndpoint(url=DEFAULT_URL)
    if call.agent != "local":
        return dial, RealtimeEndpoint(url=call.agent, api_key=LOCAL_KEY)
    assert engines is not None
    if clock.is_virtual():
        agent = MemoryDialer(nursery, partial(serve_stream, engines=engines))
        return agent, RealtimeEndpoint(url=f"ws://local-agent{LOCAL_PATH}", api_key=LOCAL_KEY)
    port = await nursery.start(partial(serve_tcp, engines, host="127.0.0.1", port=0))
    return open_tcp, RealtimeEndpoint(url=f"ws://127.0.0.1:{port}{LOCAL_PATH}", api_key=LOCAL_KEY)


def _needs_voice(script: CallerScript) -> bool:
    return any(isinstance(s, Say | Interrupt | Expect) for s in script.steps)


def _needs_ears(call: LocalCall) -> bool:
    return call.agent == "local" or any(isinstance(s, Expect) for s in call.script.steps)


def _ears(script: CallerScript, engines: Engines | None) -> Ears | None:
    """Return the caller's own recogniser, only if its script wants to know what it hears."""
    if engines is None or not any(isinstance(s, Expect) for s in script.steps):
        return None

    async def transcribe(samples: Samples) -> str:
        wide = Resampler(LINE_HZ, EAR_HZ).process(samples)
        return await engines.run(engines.ears.transcribe, wide)

    return transcribe


async def _prepare_sounds(
    script: CallerScript, engines: Engines | None, observer: Observer
) -> dict[Step, Samples]:
    """Make everything the caller will say before the call, so that no step waits for its sound."""
    steps = spoken_steps(script)
    if steps:
        observer.progress("preparing the caller's voice")
    sounds: dict[Step, Samples] = {}
    for step in steps:
        if isinstance(step, Play):
            sounds[step] = _read_sound(step.path)
        elif isinstance(step, Say | Interrupt):
            assert engines is not None
            sounds[step] = await engines.run(_speak, engines, step.text, script.voice)
    return sounds


def _speak(engines: Engines, text: str, speaker: str) -> Samples:
    parts = list(engines.voice.speak(text, speaker=speaker, speed=1.0))
    return _to_line(np.concatenate(parts) if parts else np.zeros(0, np.int16))


def _read_sound(path: Path) -> Samples:
    try:
        with path.open("rb") as file:
            wav = read_wav(file, name=str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    return _whole_frames(to_mono(wav, LINE_HZ), LINE_HZ)


def _to_line(samples: Samples) -> Samples:
    return Resampler(VOICE_HZ, LINE_HZ).process(_whole_frames(samples, VOICE_HZ))


def _whole_frames(samples: Samples, rate_hz: int) -> Samples:
    frame = pcm16(rate_hz).frame_samples
    padded = np.zeros(-(-len(samples) // frame) * frame, np.int16)
    padded[: len(samples)] = samples
    return padded
