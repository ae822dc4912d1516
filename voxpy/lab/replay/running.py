"""A recorded session run again: its scenario against everything that came from outside then."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.ending import End
from voxpy.engine.loader import Program
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.speech import SpeechEngines, no_speech
from voxpy.engine.trace import Entry
from voxpy.errors import VoxpyError
from voxpy.host.api.access import answer
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.lab.replay.comparing import Difference, first_difference
from voxpy.lab.replay.outside import (
    ReplayedDialer,
    ReplayedLeg,
    ReplayedNetwork,
    ReplayedStorage,
)
from voxpy.lab.replay.recording import Input, Recording
from voxpy.lab.replay.web import ReplayedServices, ReplayedWeb
from voxpy.players.speech import find_speaker
from voxpy.project.secrets import Secrets

T = TypeVar("T")
TOLERANCE_S = 0.25
"""Between a time in a recording of real life and its replay: timers, threads and a busy machine."""

SPEAKING = ("Call.say", "VoxEngine.create_tts_player")
READY = (".PlaybackReady", ".PlaybackFinished", ".Started")
BEYOND_S = 10.0
"""How long a replay may go on behind the end of its recording."""


@attrs.frozen(kw_only=True)
class Replayed:
    """What came of it. ``difference`` is None if the second run was like the first."""

    recording: Recording
    entries: tuple[Entry, ...]
    end: End | None
    difference: Difference | None


async def replay(
    recording: Recording,
    program: Program,
    *,
    tolerance_s: float = TOLERANCE_S,
    speech: Callable[[], SpeechEngines] = no_speech,
) -> Replayed:
    """Run ``program`` in place of the scenarios that were recorded, on virtual time.

    ``speech`` gives the engines with which players speak and the session's own detectors hear; the
    same sound gives the same words, but not if the engines are others than then. Secrets have
    stand-in values. Raises VoxpyError on a real clock.
    """
    if not clock.is_virtual():
        raise VoxpyError("a replay lives on virtual time: run it with run_virtual()")
    entries: list[Entry] = []
    with tempfile.TemporaryDirectory(prefix="voxpy-replay-") as folder:
        end = await _run(recording, program, tolerance_s, speech, Path(folder), entries.append)
    difference = first_difference(
        recording.entries,
        entries,
        tolerance_s=tolerance_s,
        until_s=None if recording.complete else recording.until_s,
    )
    return Replayed(
        recording=recording, entries=tuple(entries), end=end, difference=difference
    )  # fmt: skip


async def _run(
    recording: Recording,
    program: Program,
    tolerance_s: float,
    speech: Callable[[], SpeechEngines],
    base: Path,
    take: Callable[[Entry], None],
) -> End | None:
    began_s = clock.now()
    elapsed = partial(_since, began_s)
    legs = recording.legs()
    incoming = legs[0].of if legs and legs[0].data["incoming"] else None
    faded = any(e.kind == "event" and e.name.endswith("NoInboundMedia") for e in recording.entries)
    leg = None
    if incoming is not None:
        leg = ReplayedLeg(
            recording,
            incoming,
            elapsed=elapsed,
            tolerance_s=tolerance_s,
            said=lambda fmt: recording.caller(fmt.rate_hz),
            fades=faded,
        )
    async with trio.open_nursery() as nursery:
        media_clock = clock.MediaClock()
        nursery.start_soon(media_clock.run)
        network = ReplayedNetwork(
            recording, nursery, elapsed=elapsed, began_s=began_s, tolerance_s=tolerance_s
        )
        realtime = recording.head.data["realtime"]
        hosted: HostedSession

        def masked(text: str) -> str:
            return hosted.trace.masked(text)

        context = SessionContext(
            session_id=recording.session_id,
            rule_name=recording.rule_name,
            program=program,
            settings=recording.settings,
            secrets=Secrets(base / "secrets.env", environ=_secrets(recording)),
            media_clock=media_clock,
            open_stream=network,
            realtime=RealtimeEndpoint(
                url=realtime["url"], api_key=_stand_in("KEY") if realtime["has_key"] else None
            ),
            speech=cache(partial(_as_slow_as_then, speech, recording.entries)),
            custom_data=str((recording.head.personal or {}).get("custom_data", "")),
            access_url=str(recording.head.data.get("access_url", "")),
            log_url=str(recording.head.data.get("log_url", "")),
            dialer=ReplayedDialer(recording, elapsed, tolerance_s),
            fetch=ReplayedWeb(recording, masked=masked).fetch,
            services=ReplayedServices(recording, masked=masked),
            storage=ReplayedStorage(recording),
        )
        hosted = HostedSession(context, leg, Keeping(base=base, sinks=[take]))
        for request in (i for i in recording.inputs if i.kind == "request"):
            nursery.start_soon(_ask, hosted, request, began_s + request.t)
        beyond_s = BEYOND_S if recording.complete else 2 * tolerance_s
        end = None
        with trio.move_on_at(began_s + recording.until_s + beyond_s):
            end = await hosted.run()
        nursery.cancel_scope.cancel()
    return end


async def _ask(hosted: HostedSession, request: Input, at_s: float) -> None:
    """Make a request to the session's access URL when it was made."""
    await trio.sleep_until(at_s)
    fields = dict(request.personal)
    await answer(hosted.session, fields.pop("content").encode(), fields)


class _AsSlowAsThen:
    """Engines that take as long to make speech as they did, though virtual time has no work."""

    def __init__(self, engines: SpeechEngines, making_s: Iterable[float]) -> None:
        self.gate, self.ears, self.voice = engines.gate, engines.ears, engines.voice
        self.ask = engines.ask
        self._engines = engines
        self._making_s = iter(making_s)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        if work is find_speaker:  # what every speech begins with
            await trio.sleep(next(self._making_s, 0.0))
        return await self._engines.run(work, *args)


def _as_slow_as_then(
    speech: Callable[[], SpeechEngines], entries: Sequence[Entry]
) -> SpeechEngines:
    return _AsSlowAsThen(speech(), _making_s(entries))


def _making_s(entries: Sequence[Entry]) -> Iterator[float]:
    """Yield how long each speech took from the scenario's word to its first sound."""
    for n, entry in enumerate(entries):
        if entry.kind == "command" and entry.name in SPEAKING:
            later = (e for e in entries[n:] if e.kind == "event" and e.unit == entry.unit)
            ready = next((e for e in later if e.name.endswith(READY)), entry)
            yield ready.t - entry.t


def _since(began_s: float) -> float:
    return clock.now() - began_s


def _secrets(recording: Recording) -> dict[str, str]:
    found = [i.name for i in recording.inputs if i.kind == "secret" and i.data["found"]]
    return {name: _stand_in(name) for name in found}


def _stand_in(name: str) -> str:
    return f"stand-in-for-{name}"
