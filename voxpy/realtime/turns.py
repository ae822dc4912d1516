"""What services with wires of their own have in common: turns in place of items, and no sequencing.

Gemini, ElevenLabs, Deepgram, Ultravox and Cartesia answer by themselves, decide by themselves when
the caller has interrupted, and number nothing that we would have to name again. So a wire of theirs
reads frames and says what each means in these words; what is the same for all of them (whose turn
it is, how much of it was heard, what is owed, which calls wait for an output) stands here.

A subclass has ``_read``, ``append`` and ``_output``, and calls the methods under "for subclasses".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from voxpy.audio.frame import Format
from voxpy.engine.session import Session
from voxpy.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from voxpy.realtime.options import ClientOptions
from voxpy.realtime.service import Access, Service
from voxpy.realtime.speech import SpeechClient
from voxpy.realtime.tools import Tools
from voxpy.realtime.wire import (
    Audio,
    AudioOver,
    Happening,
    Interrupted,
    Ready,
    Said,
    Sent,
    Told,
    ToolsCalled,
    Understood,
    Works,
)
from voxpy.text import json
from voxpy.wire.realtime.client.playback import AudioRate, Playback
from voxpy.wire.realtime.events.types import FunctionCall, heard_part

UNCONFIRMED = "has not confirmed the session"
UNANSWERED = "has not answered the caller"
UNBEGUN = "has not begun the response it was asked for"
UNFINISHED = "has not finished its response"
KEPT_TURNS = 64

Fields = Mapping[str, Any]


class TurnWire:
    """Implements ``Wire`` for a service that counts turns.

    ``tells_end``: the service says when a turn of the agent's is over. Where it does not, nobody
    waits for that.
    """

    tells_end = True

    def __init__(self, input_format: Format, output_format: Format) -> None:
        self.input_format = input_format
        self.output_format = output_format
        self.playback = Playback()
        self.ready = False
        self._turn = 1
        self._item = "turn-1"
        self._speaking = False
        self._void = False  # what still comes of this turn was cut off by us
        self._owed = ""
        self._texts: dict[str, str] = {}
        self._calls: dict[str, str] = {}  # what waits for its output: id, name
        self._due: list[bytes] = []
        self._means: list[Happening] = []
        self._told: list[Happening] = []
        self._called: list[FunctionCall] = []

    # -- the seam --------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no turn of the agent is under way or due."""
        return not ((self._speaking and self.tells_end) or self._owed or self._calls)

    @property
    def owes(self) -> str:
        """What the service owes us, in words."""
        if not self.ready:
            return UNCONFIRMED
        return self._owed or (UNFINISHED if self._speaking and self.tells_end else "")

    def receive(self, text: str) -> list[Happening]:
        """Take a frame. Raises RemoteProtocolError for one that cannot be read."""
        try:
            frame = json.loads(text)
        except ValueError as error:
            raise RemoteProtocolError(f"no JSON: {error}") from error
        if not isinstance(frame, dict):
            raise RemoteProtocolError("a frame must be a JSON object")
        try:
            self._read(frame)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._found()  # half of what it means is nothing
            raise RemoteProtocolError(f"a frame of another shape than documented: {error}") from (
                error
            )
        return self._found()

    def receive_binary(self, data: bytes) -> list[Happening] | None:
        """Take a binary frame; None where the service has none."""
        return None

    def outgoing(self) -> list[bytes]:
        """Return the frames that are due, and forget them."""
        due, self._due = self._due, []
        return due

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's."""
        raise NotImplementedError

    def interrupt(self, played_ms: Callable[[str], float]) -> list[Sent]:
        """The agent was cut off: the service knows it already, and wants to hear nothing."""
        self._void = self._speaking
        return []

    def awaits_output(self, call_id: str) -> bool:
        """Return whether the model waits for the output of this call."""
        return call_id in self._calls

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        """Give the output of a call; the service goes on by itself."""
        name = self._calls.pop(call_id, None)
        if name is None:
            raise LocalProtocolError(f"nothing awaits the output of {call_id!r}")
        self._send(self._output(call_id, name, output, silent))
        if not (self._calls or silent):
            self._owed = UNBEGUN

    def transcript_heard(self, item_id: str, played_ms: float) -> str:
        """Return about what a listener understood who heard ``played_ms`` of a turn."""
        said = self._texts.get(item_id, "")
        whole_ms = self.playback.whole_ms(item_id)
        if self.playback.fully_played(item_id, played_ms):
            return said
        return heard_part(said, played_ms / whole_ms) if whole_ms else ""

    # -- what the client notes --------------------------------------------------------------------

    def asks(self) -> None:
        """The scenario asked for an answer."""
        self._owed = UNBEGUN

    def answered(self, call_id: str) -> None:
        """The scenario gave the output of a call by itself."""
        if self._calls.pop(call_id, None) is not None and not self._calls:
            self._owed = UNBEGUN

    # -- what a subclass has ---------------------------------------------------------------------

    def _read(self, frame: dict[str, Any]) -> None:
        raise NotImplementedError

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        raise NotImplementedError

    # -- for subclasses --------------------------------------------------------------------------

    def _tell(self, name: str, payload: dict[str, Any]) -> None:
        """Tell the scenario an event of the service's."""
        self._told.append(Told(name, payload))

    def _send(self, frame: Fields) -> None:
        self._due.append(orjson.dumps(frame))

    def _is_ready(self) -> None:
        """The service has taken our configuration."""
        self.ready = True
        self._means.append(Ready())

    def _caller_said(self, text: str, *, answered: bool = True) -> None:
        """The service has understood the caller; ``answered``: and will say something to it."""
        if text.strip():
            self._means.append(Understood(text))
            if answered and not (self._speaking and self.tells_end):
                self._owed = UNANSWERED

    def _sound(self, data: bytes) -> None:
        """Take audio of the agent's."""
        if not data:
            return
        self._speaking, self._owed = True, ""
        fmt = self.output_format
        rate = AudioRate(fmt.encoding, fmt.rate_hz)
        if self._void:
            self.playback.withheld(self._item, "", len(data), rate)
        else:
            self.playback.produced(self._item, "", len(data), rate)
            self._means.append(Audio("", self._item, data))
        if not self.tells_end:
            self.playback.item_done(self._item)

    def _words(self, text: str, *, whole: bool = False) -> None:
        """Take words of the agent's: more of them, or all of this turn."""
        if text:
            self._speaking, self._owed = True, ""
            self._texts[self._item] = text if whole else self._texts.get(self._item, "") + text
            if len(self._texts) > KEPT_TURNS:
                del self._texts[next(iter(self._texts))]

    def _cut(self) -> None:
        """The caller has interrupted, says the service."""
        self._over(works=False)
        self._means.append(Interrupted(interrupts=True))

    def _over(self, *, works: bool = True) -> None:
        """The agent's turn is over; ``works``: said to its end."""
        if not self._speaking:
            return
        self.playback.item_done(self._item)
        if said := self._texts.get(self._item):
            self._means.append(Said(self._item, said))
        self._means.append(AudioOver())
        self._turn += 1
        self._item = f"turn-{self._turn}"
        self._speaking = self._void = False
        if works:
            self._means.append(Works())

    def _calls_tool(self, call_id: str, name: str, arguments: Any) -> None:
        """The model calls a function."""
        if call_id in self._calls:
            return
        self._owed = ""
        self._calls[call_id] = name
        written = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        self._called.append(FunctionCall(item_id="", call_id=call_id, name=name, arguments=written))

    def _found(self) -> list[Happening]:
        found = [*self._means, *self._told]
        if self._called:
            found.append(ToolsCalled(self._called))
        self._means, self._told, self._called = [], [], []
        return found


W = TypeVar("W", bound=TurnWire)


class TurnClient(SpeechClient[W]):
    """The client of such a service; its methods are the service's, each taking a dict."""

    def __init__(
        self,
        service: Service,
        make_wire: Callable[[], W],
        tools: Tools | None,
        session: Session,
        client_id: str,
        access: Access,
        options: ClientOptions,
    ) -> None:
        for name in ("queue", "renew_after_s"):
            if getattr(options, name):
                raise ScenarioError(f"{service.name} has no {name}: its wire needs none")
        super().__init__(
            session,
            service=service,
            access=access,
            client_id=client_id,
            options=options,
            make_wire=make_wire,
        )
        if tools is not None:
            self.use_tools(tools)

    def _command(self, name: str, given: Fields, frame: Fields | None = None) -> None:
        """Send what the scenario asks for: ``frame``, or what it gave."""
        wrong: Any = given  # scenarios are not always type checked
        if not isinstance(wrong, Mapping):
            raise ScenarioError(f"{name} takes a dict, not {type(wrong).__name__}")
        self._announce.command(name, dict(given))
        try:
            written = orjson.dumps(given if frame is None else frame)
        except (TypeError, ValueError) as error:
            raise ScenarioError(f"{name}: what is sent must be JSON: {error}") from error
        self._link.send(written)

    def _typed(self, kind: str, given: Fields) -> None:
        """Send what the scenario gave as a message of this ``type``."""
        wrong: Any = given
        frame = {"type": kind, **given} if isinstance(wrong, Mapping) else None
        self._command(kind, given, frame)

    def _legs_g711(self) -> str:
        """Return the encoding that all legs have, if it is G.711 and was not ruled out."""
        choice = self._options.audio_format
        if choice != "auto":
            return choice if choice in ("pcmu", "pcma") else ""
        found = {p.source.format.encoding for p in self._session.graph.attached if p.source}
        only = found.pop() if len(found) == 1 else ""
        return "" if only == "pcm16" else only
