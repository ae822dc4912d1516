"""The upper of the two seams: what a client needs of a service, whatever its frames look like.

``SpeechClient`` (above) owns the socket, the media, the tools, the trace and the scenario's events;
it never reads a frame. A ``Wire`` (below) reads and writes frames and does nothing else: no socket,
no clock, no session. Between them pass five things:

- **audio in**: ``append`` makes a frame of what the caller says;
- **audio out**: ``Audio``, item by item, so that what was heard of each can be told;
- **interruption**: ``CallerSpoke`` says that the caller may have the floor, ``interrupt`` what the
  service must be told when the agent was cut off, and how much of it was heard;
- **tools**: ``ToolsCalled``, and ``tool_output`` for each of the calls;
- **events**: ``Told``, everything that the scenario learns, under the service's own name; and
  ``Failed``, ``Works``, ``owes``, by which a dead agent is told from a quiet one.

What a wire returns from ``receive`` is in the order in which it is to be acted on: first what it
means to us, then ``Told``, so that the agent is silent before a handler hears that the caller
speaks; last the tools, which run when the handlers have begun. Frames that became due meanwhile are
in ``outgoing``.

``RealtimeWire`` (``protocol.py``) is the wire of the Realtime protocol. A service with a protocol
of its own (Gemini, ElevenLabs, Deepgram, Ultravox, Cartesia) brings another one, a pure object with
its frames in ``voxpy/wire``, and a client whose methods are its own; ``SpeechClient``, the media,
the tools and the log of frames stay as they are.

``Link`` is one connection with a wire on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from voxpy.audio.frame import Format
from voxpy.errors import RemoteProtocolError
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.wire.realtime.client.playback import Playback
from voxpy.wire.realtime.client.protocol import Audio as Audio  # the seam's own word
from voxpy.wire.realtime.events.types import FunctionCall


@attrs.frozen
class Configured:
    """The service has told its configuration: the wire's formats may be others now."""


@attrs.frozen
class CallerSpoke:
    """The caller begins to speak. ``interrupts``: the service lets that end what the agent says."""

    interrupts: bool


@attrs.frozen
class Ready(Configured):
    """The service is ready to talk; the trace has a step of it."""


@attrs.frozen
class Interrupted(CallerSpoke):
    """The service has found that the caller interrupts; the trace has a step of it."""


@attrs.frozen
class Understood:
    """What the caller said, as the service understood it. Of services whose events vary in form."""

    text: str


@attrs.frozen
class Said:
    """All that the agent says in an item, heard or not. Of the same services."""

    item_id: str
    text: str


@attrs.frozen
class AudioOver:
    """All audio of an item has come, or of all items of a response."""


@attrs.frozen
class ToolsCalled:
    """The model called these functions, all of one response."""

    calls: Sequence[FunctionCall]


@attrs.frozen
class Failed:
    """The service does not do what it should: ``words`` complete "the agent ...".

    ``never``: types of events that will not come for it, so that nobody waits for them.
    """

    words: str
    never: Sequence[str] = ()
    code: str | None = None


@attrs.frozen
class Works:
    """A response completed: what failed before is over."""


@attrs.frozen
class Told:
    """An event of the service's. ``event`` is the same as ``payload``, as the wire has read it."""

    name: str
    payload: dict[str, Any]
    event: Any = None


Happening: TypeAlias = (
    Audio
    | Configured
    | CallerSpoke
    | AudioOver
    | ToolsCalled
    | Failed
    | Works
    | Told
    | Understood
    | Said
)


class Binary(bytes):
    """A frame that goes out as a binary message; others are text."""

    __slots__ = ()


@attrs.frozen
class Sent:
    """A frame, and what it says for the trace."""

    name: str
    fields: Mapping[str, Any]
    frame: bytes


class Wire(Protocol):
    """One session with a service, without a socket. Pure."""

    playback: Playback
    """How much audio of each item came."""

    @property
    def input_format(self) -> Format:
        """What the service wants to hear."""

    @property
    def output_format(self) -> Format:
        """What it says."""

    @property
    def idle(self) -> bool:
        """Whether no response is under way or due."""

    @property
    def owes(self) -> str:
        """What the service is to do next, as the end of "the agent ..."; empty if nothing.

        It stands until the service does it, whatever the caller says meanwhile.
        """

    def receive(self, text: str) -> Sequence[Happening]:
        """Take a frame. Raises RemoteProtocolError for one that is none; the session goes on."""

    def receive_binary(self, data: bytes) -> Sequence[Happening] | None:
        """Take a binary frame; None where the wire has none. Raises as ``receive``."""

    def outgoing(self) -> list[bytes]:
        """Return the frames that are due, and forget them."""

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's; empty if it must not be sent yet."""

    def interrupt(self, played_ms: Callable[[str], float]) -> list[Sent]:
        """The agent was cut off: return what to tell the service; ``played_ms`` of each item."""

    def awaits_output(self, call_id: str) -> bool:
        """Return whether the model waits for the output of this call."""

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        """Give the output of a call; ``silent``: nobody has to say anything. See ``outgoing``."""

    def transcript_heard(self, item_id: str, played_ms: float) -> str:
        """Return about what a listener understood who heard ``played_ms`` of an item."""


W = TypeVar("W", bound=Wire)


def _nobody(*_: Any) -> None:
    """Nobody wants to know."""


@attrs.frozen(kw_only=True)
class LinkReports:
    """Whom a link tells what happens, each in the synchronous call that read the frame.

    ``take`` gets everything that a frame means, audio too where ``audio`` is not given.
    ``malformed`` gets a frame that the wire could not read; ``closed`` code, reason and whether it
    was clean; ``refused`` the HTTP status, headers and body in place of a connection.
    """

    take: Callable[[Happening], None] = _nobody
    audio: Callable[[Audio], None] | None = None
    malformed: Callable[[str, RemoteProtocolError], None] = _nobody
    closed: Callable[[int, str, bool], None] = _nobody
    refused: Callable[[int, Mapping[str, str], str], None] = _nobody
    binary: Callable[[int], None] = _nobody
    sent: Callable[[bytes], None] = _nobody


class Link(ConnectionReports, Generic[W]):
    """A wire on a connection. ``connect`` makes the connection, which reports to this link.

    ``note`` sees every frame with its direction, ``<`` or ``>``. Nearly all frames are audio, so
    that audio is given on as directly as can be.
    """

    def __init__(
        self,
        wire: W,
        connect: Callable[[ConnectionReports], RealtimeConnection],
        reports: LinkReports,
        *,
        note: Callable[[str, str | bytes], None] | None = None,
    ) -> None:
        self.wire = wire
        self.reports = reports
        self._note = note
        self.connection = connect(self)

    def send(self, frame: bytes) -> None:
        """Send a frame now. Raises LimitExceeded if the service has not read for very long."""
        self.connection.send(frame)

    def flush(self) -> None:
        """Send what the wire has due."""
        for frame in self.wire.outgoing():
            self.connection.send(frame)

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        """Send the output of a call; with the last of a response, ask for the next one."""
        self.wire.tool_output(call_id, output, silent=silent)
        self.flush()

    # -- reports of the connection ---------------------------------------------------------------

    def received(self, text: str) -> None:
        """Take a frame of the service's."""
        if self._note is not None:
            self._note("<", text)
        try:
            happenings = self.wire.receive(text)
        except RemoteProtocolError as error:
            self.reports.malformed(text, error)
            return
        self._report(happenings)

    def received_binary(self, data: bytes) -> None:
        """Take a binary frame of the service's."""
        if self._note is not None:
            self._note("<", data)
        try:
            happenings = self.wire.receive_binary(data)
        except RemoteProtocolError as error:
            self.reports.malformed("", error)
            return
        if happenings is None:
            self.reports.binary(len(data))
        else:
            self._report(happenings)

    def _report(self, happenings: Sequence[Happening]) -> None:
        reports = self.reports
        for each in happenings:
            if type(each) is Audio and reports.audio is not None:
                reports.audio(each)
            else:
                reports.take(each)
        for frame in self.wire.outgoing():
            self.connection.send(frame)

    def sent(self, frame: bytes) -> None:
        """See a frame that was handed to the socket."""
        if self._note is not None:
            self._note(">", frame)
        self.reports.sent(frame)

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """See the HTTP answer that refused the upgrade."""
        self.reports.refused(status, headers, body)

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn that the connection is over."""
        self.reports.closed(code, reason, was_clean)
