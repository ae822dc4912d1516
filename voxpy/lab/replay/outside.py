"""What came from outside comes again: legs whose far end does what it did, services and web pages
that say what they said.

Each thing is due at its time, or behind what provoked it: a *cue* came after so many *prompts* of
our side's, and where a prompt comes later than then, so does what followed it.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, Samples
from voxpy.engine import ports
from voxpy.engine.inputs import kind_of
from voxpy.engine.ports import (
    SERVICE_UNAVAILABLE,
    Endpoint,
    Headers,
    Leg,
    LegEnded,
    LegEvent,
    OutgoingCall,
    RefusedLeg,
)
from voxpy.engine.storage import Entry, Storage
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.lab.replay.recording import Input, Recording
from voxpy.media.unit import MediaPort, StreamFigures
from voxpy.sockets import FrameSocket, SocketLimits, receive_upgrade
from voxpy.sockets.memory import memory_pair

PATIENCE_S = 2.0
"""How long something waits for what provoked it. If that never comes, it comes all the same: the
difference has been found by then, and what follows shows where it led.
"""


@attrs.frozen
class Cue:
    """Something of the far side. It came after so many prompts of ours."""

    input: Input
    after: int


def cues_of(
    inputs: Sequence[Input], is_prompt: Callable[[Input], bool]
) -> tuple[list[Cue], list[float]]:
    """Return the cues in order and the times of the prompts."""
    cues: list[Cue] = []
    prompted: list[float] = []
    for each in inputs:
        if is_prompt(each):
            prompted.append(each.t)
        else:
            cues.append(Cue(each, len(prompted)))
    return cues, prompted


class Prompts:
    """Compares when our side said something then and now. Times are seconds of the session.

    A prompt that comes no more than ``tolerance_s`` late moves nothing, so that small delays never
    add up over a call.
    """

    def __init__(self, recorded: Sequence[float], *, tolerance_s: float) -> None:
        self._recorded = recorded
        self._tolerance_s = tolerance_s
        self._came: list[float] = []

    def came(self, now: float) -> None:
        """Our side said something."""
        self._came.append(now)

    @property
    def count(self) -> int:
        """How often it did."""
        return len(self._came)

    def due(self, cue: Cue) -> float:
        """Return when ``cue`` is due, as far as is known now."""
        at = cue.input.t
        if cue.after == 0:
            return at
        if cue.after > len(self._came):
            return at + PATIENCE_S
        came = self._came[cue.after - 1]
        late = came - self._recorded[cue.after - 1]
        return max(came, at + (late if late > self._tolerance_s else 0.0))


SAME_MOMENT_S = 0.001
ENDS = ("hangup", "reject", "aclose")
SOUND = "leg sound"


class ReplayedLeg:
    """Implements ``voxpy.engine.ports.Leg``. ``elapsed`` gives the seconds of the session.

    ``fades`` says that packets stopped coming during the call: then perfect silence counts as none.
    """

    def __init__(
        self,
        recording: Recording,
        leg_id: str,
        *,
        elapsed: Callable[[], float],
        tolerance_s: float,
        said: Callable[[Format], Samples] | None = None,
        fades: bool = False,
    ) -> None:
        inputs = recording.about(leg_id)
        head, *rest = [i for i in inputs if i.kind != SOUND]
        self.leg_id = leg_id
        self.channel: str = head.data["channel"]
        self.client_type: str = head.data["client_type"]
        self.incoming: bool = head.data["incoming"]
        self.callerid: str = head.personal["callerid"]
        self.destination: str = head.personal["destination"]
        self.display_name: str = head.personal["display_name"]
        self.headers: Headers = head.personal["headers"]
        self._format = _format(head.data["format"])
        self.media = MediaPort(
            name=leg_id,
            source=_Said(self),
            sink=_Unheard(self._format),
            figures=lambda: (StreamFigures(), StreamFigures()),
        )
        self.transfers = _ReplayedTransfers(self)
        self._elapsed = elapsed
        self._commands = [i.name for i in rest if i.kind == "leg command"]
        self._cues, times = cues_of(rest, lambda i: i.kind == "leg command")
        self._prompts = Prompts(times, tolerance_s=tolerance_s)
        self._samples = None if said is None else said(self._format)
        self._sound = deque(_sound(i for i in inputs if i.kind == SOUND))
        self._fades = fades
        self._position = 0
        self._flows = False
        self._over = False
        self._report: Callable[[LegEvent], None] = lambda _: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""
        self._report = report

    def ring(self, headers: Headers) -> None:
        """Take note."""
        self._told("ring")

    def start_early_media(self, headers: Headers) -> None:
        """Take note."""
        self._told("start_early_media")

    def answer(self, headers: Headers) -> None:
        """Take note."""
        self._told("answer")

    def reject(self, code: int, headers: Headers) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("reject", LegEnded(code=code, reason="Rejected"))

    def hangup(self, headers: Headers) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("hangup", LegEnded(code=200, reason="Hung up by the scenario"))

    def handle_tones(self, enabled: bool) -> None:
        """Take note."""
        self._told("handle_tones")

    def send_digits(self, digits: str) -> None:
        """Take note."""
        self._told("send_digits")

    def send_message(self, text: str) -> None:
        """Take note."""
        self._told("send_message")

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Take note."""
        self._told("send_info")

    async def aclose(self) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("aclose", LegEnded(code=200, reason="Session ended"))

    def pull(self) -> bytes | None:
        """Do what is due, then give 20 ms of what was said."""
        self._play(self._elapsed())
        start, size = self._position, self._format.frame_samples
        self._position += size
        if self._sound:
            self._format, frame = self._sound.popleft()
            return None if self._over else frame
        if not self._flows or self._over:
            return None
        if self._samples is None or start >= len(self._samples):
            return None if self._fades else self._format.silence
        said = self._samples[start : start + size]
        if self._fades and not said.any():
            return None
        return (encode(said, self._format) + self._format.silence)[: self._format.frame_bytes]

    def _told(self, command: str, end: LegEnded | None = None) -> None:
        index = self._prompts.count
        now = self._elapsed()
        self._prompts.came(now)
        expected = self._commands[index] if index < len(self._commands) else ""
        if end is not None and not self._over and expected not in ENDS:
            self._cues.clear()
            self._over = True
            self._report(end)
        else:
            self._play(now, provoked=True)

    def _play(self, now: float, *, provoked: bool = False) -> None:
        while self._cues and not self._over:
            cue = self._cues[0]
            if provoked and cue.after != self._prompts.count:
                return
            if self._prompts.due(cue) > now + SAME_MOMENT_S:
                return
            del self._cues[0]
            event = _event(cue.input.name, {**cue.input.data["data"], **cue.input.personal})
            self._flows |= isinstance(event, ports.LegConnected | ports.FirstAudio)
            self._over |= isinstance(event, LegEnded)
            self._report(event)


@attrs.frozen
class _ReplayedTransfers:
    """Implements ``voxpy.engine.ports.LegTransfers``: takes note."""

    _leg: ReplayedLeg

    def handle(self, enabled: bool) -> None:
        self._leg._told("transfers.handle")

    def answer(self, code: int, reason: str) -> None:
        self._leg._told("transfers.answer")

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        self._leg._told("transfers.ask")


class _Said:
    def __init__(self, leg: ReplayedLeg) -> None:
        self._leg = leg
        self.pull = leg.pull

    @property
    def format(self) -> Format:
        return self._leg._format


class _Unheard:
    def __init__(self, fmt: Format) -> None:
        self.format = fmt

    def push(self, frame: bytes) -> None:
        """Nobody listens any more."""


def _sound(kept: Iterable[Input]) -> Iterator[tuple[Format, bytes | None]]:
    """Yield the frames that were kept of a far end, None for ticks in which nothing came."""
    for each in kept:
        fmt, data = _format(each.data["format"]), base64.b64decode(each.personal)
        at = 0
        for there in each.data["there"]:
            if there == "1":
                yield fmt, data[at : at + fmt.frame_bytes]
                at += fmt.frame_bytes
            else:
                yield fmt, None


def _format(told: str | None) -> Format:
    if told is None:
        return PCMU
    encoding, _, rate_hz = told.partition("/")
    known: Any = encoding
    return Format(known, int(rate_hz))


def _event(name: str, fields: dict[str, Any]) -> LegEvent:
    event: LegEvent = getattr(ports, name)(**fields)
    return event


@attrs.frozen
class ReplayedDialer:
    """Implements ``voxpy.engine.ports.Dialer``: whoever was called then is there again."""

    recording: Recording
    elapsed: Callable[[], float]
    tolerance_s: float

    def dial(self, call: OutgoingCall) -> Leg:
        """Return the leg of that id, or one that fails because there was no such call."""
        if not any(leg.of == call.leg_id for leg in self.recording.legs()):
            return RefusedLeg(call, SERVICE_UNAVAILABLE, "this call was not made in the recording")
        return ReplayedLeg(
            self.recording, call.leg_id, elapsed=self.elapsed, tolerance_s=self.tolerance_s
        )


NORMAL, NO_CODE = 1000, 1005
SAME_MOMENT_S = 1e-6
"""What adding and taking away the time a session began may leave of a difference."""
OURS = ("dials", "closing")
FROM_HTTP = ("content-length", "transfer-encoding", "connection")
"""Headers of a refusal that the handshake writes itself."""


class ReplayedNetwork:
    """Implements ``voxpy.engine.ports.OpenStream``: the n-th connection to a host is the n-th."""

    def __init__(
        self,
        recording: Recording,
        nursery: trio.Nursery,
        *,
        elapsed: Callable[[], float],
        began_s: float,
        tolerance_s: float,
    ) -> None:
        self._nursery = nursery
        self._elapsed = elapsed
        self._began_s = began_s
        self._tolerance_s = tolerance_s
        self._dialled = [i for i in recording.inputs if i.kind == "socket" and i.name == "dials"]
        self._recording = recording

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Open the next stream to this host. Raises ConnectFailed as then, or if there was none."""
        dialled = next(
            (i for i in self._dialled if urlsplit(i.data["url"]).hostname == endpoint.host), None
        )
        if dialled is None:
            await trio.lowlevel.checkpoint()
            raise ConnectFailed(
                f"{endpoint.host}:{endpoint.port}: the recording has no further connection to it"
            )
        self._dialled.remove(dialled)
        far_side = _FarSide(
            self._recording.about(dialled.of),
            elapsed=self._elapsed,
            began_s=self._began_s,
            tolerance_s=self._tolerance_s,
        )
        await far_side.fail_if_it_did()
        ours, theirs = memory_pair()
        self._nursery.start_soon(far_side.serve, theirs, self._nursery)
        return ours


class _FarSide:
    """One connection, from the other end."""

    def __init__(
        self,
        inputs: Sequence[Input],
        *,
        elapsed: Callable[[], float],
        began_s: float,
        tolerance_s: float,
    ) -> None:
        inputs = _without_our_close(inputs)
        self._cues, times = cues_of(inputs, lambda i: i.kind == "sent" or i.name in OURS)
        self._prompts = Prompts(times, tolerance_s=tolerance_s)
        self._kinds = {i.name for i in inputs if i.kind == "sent"}
        self._elapsed = elapsed
        self._began_s = began_s
        self._prompted = trio.Event()
        self._prompts.came(elapsed())

    async def fail_if_it_did(self) -> None:
        """Raise ConnectFailed if there was no connection."""
        if self._cues and self._cues[0].input.name == "failed":
            await self._wait(self._cues[0])
            raise ConnectFailed(self._cues[0].input.data["reason"])

    async def serve(self, stream: trio.abc.Stream, nursery: trio.Nursery) -> None:
        """Answer the handshake, then say everything again until the client leaves."""
        try:
            upgrade = await receive_upgrade(stream, limits=SocketLimits.without_pings())
            if not self._cues:
                await trio.sleep_forever()  # the process was killed while it dialled
            answer = self._cues.pop(0)
            await self._wait(answer)
            told = answer.input
            if told.name == "refused":
                headers = [(k, v) for k, v in told.personal["headers"].items()
                           if k.lower() not in FROM_HTTP]  # fmt: skip
                body = told.personal["body"].encode()
                await upgrade.refuse(told.data["status"], body=body, headers=headers)
                return
            socket = await upgrade.accept()
        except (RemoteProtocolError, trio.BrokenResourceError):
            return  # the client left in the middle of its handshake
        socket.on_message = self._receive
        saying = trio.CancelScope()
        nursery.start_soon(self._say_all, socket, saying)
        await socket.run()
        saying.cancel()

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes) or kind_of(message) not in self._kinds:
            return  # what the caller says; or what was not said then
        self._prompts.came(self._elapsed())
        self._prompted.set()

    async def _say_all(self, socket: FrameSocket, scope: trio.CancelScope) -> None:
        with scope:
            for cue in self._cues:
                await self._wait(cue)
                _say(socket, cue.input)

    async def _wait(self, cue: Cue) -> None:
        while (due := self._prompts.due(cue)) > self._elapsed() + SAME_MOMENT_S:
            self._prompted = trio.Event()
            with trio.move_on_at(self._began_s + due):
                await self._prompted.wait()


def _without_our_close(inputs: Sequence[Input]) -> list[Input]:
    """Return what came before we closed, if we did."""
    ours = [n for n, i in enumerate(inputs) if i.kind == "socket" and i.name == "closing"]
    return list(inputs[: ours[0]] if ours else inputs)


def _say(socket: FrameSocket, told: Input) -> None:
    if told.kind == "frame":
        socket.send(orjson.dumps(told.personal).decode())
    elif told.kind == "text":
        socket.send(told.personal)
    elif told.kind == "binary":
        socket.send(base64.b64decode(told.personal))
    elif told.name == "closed" and told.data["was_clean"]:
        code = told.data["code"]
        socket.close(NORMAL if code == NO_CODE else code, told.data["reason"])
    elif told.name == "closed":
        socket.abort()


class ReplayedStorage(Storage):
    """Gives what the storage gave then, in the same order; beyond that it is empty."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._given = [i for i in recording.inputs if i.kind == "storage"]

    async def get(self, key: str) -> Entry | None:
        return _entry(self._next("get"))

    async def put(self, key: str, value: str, ttl_s: float) -> Entry:
        return _entry(self._next("put")) or await super().put(key, value, ttl_s)

    async def keys(self, pattern: str, count: int) -> list[str]:
        return list(self._next("keys") or [])

    async def remove(self, key: str) -> Entry | None:
        return _entry(self._next("remove"))

    def _next(self, what: str) -> Any:
        given = next((i for i in self._given if i.name == what), None)
        if given is None:
            return None
        self._given.remove(given)
        return given.personal["result"]


def _entry(told: Sequence[Any] | None) -> Entry | None:
    return Entry(*told) if told else None
