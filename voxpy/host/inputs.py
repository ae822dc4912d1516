"""``inputs.jsonl``: what a session was given from outside, taken down at its ports."""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
import trio

from voxpy.audio.frame import Format
from voxpy.engine.clock import off_loop_soon
from voxpy.engine.inputs import INPUTS_VERSION, Inputs, Line
from voxpy.engine.ports import Dialer, Headers, Leg, LegEvent, OutgoingCall
from voxpy.engine.session import SessionContext
from voxpy.media.unit import Source

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch, HttpRequest, HttpRequestResult, OnPart

INPUTS = "inputs.jsonl"

PERSONAL = frozenset({"headers", "text", "tone", "body", "to"})
"""Fields of leg events that may be personal."""


MOST_WAITING = 20_000
"""Lines: a minute of every call's, should the disk stall."""


class InputsFile:
    """Keeps lines until they are written; a full disk ends it, never the call.

    Written in a thread and together with what other calls have to write: what a killed process
    leaves ends in its last second.
    """

    def __init__(self, file: BinaryIO, failed: Callable[[str], None]) -> None:
        self._file = file
        self._failed = failed
        self._open = True
        self._lines: deque[Line] = deque()
        self._asked = False
        self._stopping = False
        self._settled = trio.Event()

    def write(self, line: Line) -> None:
        """Take a line."""
        if self._open:
            self._lines.append(line)
            if not self._asked:
                self._ask()
            elif len(self._lines) > MOST_WAITING:
                self._give_up("the disk does not take it")

    async def run(self) -> None:
        """Wait until stopped, and until nothing is written in a thread any more."""
        await self._settled.wait()

    def stop(self) -> None:
        """Let ``run`` end; lines are taken until ``close``. Idempotent."""
        self._stopping = True
        if not self._asked:
            self._settled.set()

    def close(self) -> None:
        """Write what is left and close the file; what comes later is dropped."""
        try:
            with self._file:
                if self._open:
                    self._open = False
                    self._write_lines()
        except OSError as error:
            self._failed(str(error))

    def _ask(self) -> None:
        self._asked = True
        off_loop_soon(self._write_lines, self._written)

    def _written(self, error: Exception | None) -> None:
        self._asked = False
        if error is not None:
            self._give_up(str(error))
        if self._stopping or not self._open:
            self._settled.set()
        elif self._lines:
            self._ask()

    def _write_lines(self) -> None:
        made = []
        while (line := self._next()) is not None:
            made.append(line if isinstance(line, bytes) else line())
        self._file.write(b"".join(made))
        self._file.flush()

    def _next(self) -> Line | None:
        """Take a line in one step: the loop appends meanwhile, or gives up."""
        try:
            return self._lines.popleft()
        except IndexError:
            return None

    def _give_up(self, why: str) -> None:
        if self._open:
            self._open = False
            self._lines.clear()
            self._failed(why)


def begin_inputs(
    inputs: Inputs, leg: Leg | None, context: SessionContext, *, files: list[str]
) -> None:
    """Write the head: what the session was made of."""
    realtime = context.realtime
    inputs.note(
        "session",
        "began",
        v=INPUTS_VERSION,
        scenarios=files,
        settings=_plain(attrs.asdict(context.settings)),
        realtime={"url": realtime.url, "has_key": realtime.api_key is not None},
        access_url=context.access_url,
        log_url=context.log_url,
        personal={"custom_data": context.custom_data},
    )
    if leg is not None:
        _describe(inputs, leg)


def _describe(inputs: Inputs, leg: Leg) -> None:
    source = leg.media.source
    inputs.note(
        "leg",
        "appears",
        of=leg.leg_id,
        channel=leg.channel,
        client_type=leg.client_type,
        incoming=leg.incoming,
        format=None if source is None else str(source.format),
        personal={
            "callerid": leg.callerid,
            "destination": leg.destination,
            "display_name": leg.display_name,
            "headers": dict(leg.headers),
        },
    )


def _plain(value: Any) -> Any:
    """Return settings as JSON has them: a bound that is off is the text ``inf``."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return "inf" if value == math.inf else value


SOUND_TICKS = 25
"""Half a second of sound to a line."""


class _Sound:
    """A media Source that takes down what another says. ``close`` writes what is left."""

    def __init__(self, source: Source, leg_id: str, inputs: Inputs) -> None:
        self._source = source
        self._leg_id = leg_id
        self._inputs = inputs
        self._format = source.format
        self._frames: list[bytes | None] = []

    @property
    def format(self) -> Format:
        return self._source.format

    def pull(self) -> bytes | None:
        frame = self._source.pull()
        if len(self._frames) >= SOUND_TICKS or self._source.format != self._format:
            self.close()
        self._frames.append(frame)
        return frame

    def close(self) -> None:
        if self._frames:
            there = "".join("0" if frame is None else "1" for frame in self._frames)
            said = base64.b64encode(b"".join(f for f in self._frames if f is not None)).decode()
            self._inputs.note(
                "leg sound", of=self._leg_id, format=str(self._format), there=there, personal=said
            )
        self._frames.clear()
        self._format = self._source.format


class RecordedLeg:
    """A Leg whose every command and event is taken down on the way.

    With ``sound`` so is what its far end says: the recording of a call has only the first leg's.
    """

    def __init__(self, leg: Leg, inputs: Inputs, *, sound: bool = False) -> None:
        self._leg = leg
        self._inputs = inputs
        self.leg_id = leg.leg_id
        self.channel = leg.channel
        self.client_type = leg.client_type
        self.incoming = leg.incoming
        self.callerid = leg.callerid
        self.destination = leg.destination
        self.display_name = leg.display_name
        self.headers = leg.headers
        self.media = leg.media
        self.transfers = _RecordedTransfers(self)
        self._sound: _Sound | None = None
        if sound and leg.media.source is not None:
            self._sound = _Sound(leg.media.source, leg.leg_id, inputs)
            self.media = attrs.evolve(leg.media, source=self._sound)

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event to ``report``, and take it down."""

        def reported(event: LegEvent) -> None:
            fields = attrs.asdict(event)
            personal = {k: v for k, v in fields.items() if k in PERSONAL}
            data = {k: v for k, v in fields.items() if k not in PERSONAL}
            self._inputs.note(
                "leg event", type(event).__name__, of=self.leg_id, data=data, personal=personal
            )
            report(event)

        self._leg.bind(reported)

    def ring(self, headers: Headers) -> None:
        """Pass it on."""
        self._told("ring")
        self._leg.ring(headers)

    def start_early_media(self, headers: Headers) -> None:
        """Pass it on."""
        self._told("start_early_media")
        self._leg.start_early_media(headers)

    def answer(self, headers: Headers) -> None:
        """Pass it on."""
        self._told("answer")
        self._leg.answer(headers)

    def reject(self, code: int, headers: Headers) -> None:
        """Pass it on."""
        self._told("reject")
        self._leg.reject(code, headers)

    def hangup(self, headers: Headers) -> None:
        """Pass it on."""
        self._told("hangup")
        self._leg.hangup(headers)

    def handle_tones(self, enabled: bool) -> None:
        """Pass it on."""
        self._told("handle_tones")
        self._leg.handle_tones(enabled)

    def send_digits(self, digits: str) -> None:
        """Pass it on."""
        self._told("send_digits")
        self._leg.send_digits(digits)

    def send_message(self, text: str) -> None:
        """Pass it on."""
        self._told("send_message")
        self._leg.send_message(text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Pass it on."""
        self._told("send_info")
        self._leg.send_info(mime_type, body, headers)

    async def aclose(self) -> None:
        """Pass it on."""
        self._told("aclose")
        if self._sound is not None:
            self._sound.close()
        await self._leg.aclose()

    def _told(self, command: str) -> None:
        self._inputs.note("leg command", command, of=self.leg_id)


@attrs.frozen
class _RecordedTransfers:
    """Implements ``voxpy.engine.ports.LegTransfers`` over the leg's own."""

    _leg: RecordedLeg

    def handle(self, enabled: bool) -> None:
        self._leg._told("transfers.handle")
        self._leg._leg.transfers.handle(enabled)

    def answer(self, code: int, reason: str) -> None:
        self._leg._told("transfers.answer")
        self._leg._leg.transfers.answer(code, reason)

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        """Pass it on; the leg below knows the other one below."""
        self._leg._told("transfers.ask")
        below = target._leg if isinstance(target, RecordedLeg) else target
        self._leg._leg.transfers.ask(to, below, headers)


@attrs.frozen
class RecordedDialer:
    """Implements ``voxpy.engine.ports.Dialer`` over another, with legs that are taken down."""

    dialer: Dialer
    inputs: Inputs

    def dial(self, call: OutgoingCall) -> Leg:
        """Return the other's leg, recorded."""
        leg = self.dialer.dial(call)
        _describe(self.inputs, leg)
        return RecordedLeg(leg, self.inputs, sound=True)


def recorded(fetch: Fetch | None, inputs: Inputs) -> Fetch:
    """Return a fetch that sends by ``fetch``, or by the engine's own, and takes the answer down."""

    numbers = count(1)

    async def send(request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
        from voxpy.engine import http  # imported by whoever made the request; it takes long

        of = f"http-{next(numbers)}"
        inputs.note("http", "asked", of=of, method=request.method, personal=str(request.url))
        result = await (fetch or http.fetch)(request, on_part)
        told = attrs.asdict(result)
        told["data"] = None if result.data is None else base64.b64encode(result.data).decode()
        inputs.note("http", "answered", of=of, code=told.pop("code"), personal=told)
        return result

    return send
