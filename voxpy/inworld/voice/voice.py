"""``RealtimeVoice``: talk to a realtime agent from any trio program, no call and no session needed.

The counterpart of Mastra's ``InworldRealtimeVoice``, in Python's idiom: the connection lives as
long as an ``async with``, audio arrives as async iterators, tools are plain functions.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

import trio

from voxpy.engine import clock
from voxpy.engine.ports import OpenStream
from voxpy.errors import ConnectFailed, ScenarioError
from voxpy.inworld import INWORLD
from voxpy.inworld.voice.audio import Sound, pieces_of
from voxpy.inworld.voice.block import Block
from voxpy.inworld.voice.config import (
    DEFAULT_MODEL,
    DEFAULT_SPEAKER,
    SPEAKERS,
    opening_session,
)
from voxpy.inworld.voice.link import VoiceLink
from voxpy.inworld.voice.waiting import ResponseWait
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.realtime.tools import ToolSet
from voxpy.sockets.streams import open_tcp
from voxpy.wire.realtime.endpoint import authorization, session_url
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events.codec import base64_text
from voxpy.wire.realtime.events.session import laid_over
from voxpy.wire.realtime.events.types import ClientEvent, item_text

CONNECT_S = 15.0
CLOSE_S = 3.0

E = TypeVar("E")
H = TypeVar("H", bound=Callable[[Any], Any])


class RealtimeVoice:
    """A voice agent.

    ::

        async with RealtimeVoice(speaker="Hades", instructions="Be brief.") as voice:
            voice.on("writing", lambda words: print(words.text, end=""))
            voice.on("speaker", play)               # async def play(stream): async for audio in ...
            await voice.speak("Hello, how can I help you today?")
            await voice.send(microphone())          # an async iterator of int16 audio at 24 kHz

    Entering connects, leaving closes. Everything the voice starts ends with the block; what a
    listener raises comes out of it. Listeners, instructions and tools may be added before.

    api_key: a portal key (already Base64, sent verbatim) or a JWT; default: the environment's
        INWORLD_API_KEY.
    speaker: the agent's voice. model: the language model. instructions: its prompt.
    session: fields of the wire's session object, laid over the defaults (see ``config``).
    provider_data: Inworld's extensions, laid over ``session["providerData"]``.
    tools: functions the agent may call.
    url: another endpoint of the same protocol.
    session_id: the ``key`` of the URL; default: ``voice-<milliseconds>``, new for every connection.
    connect_timeout_s: seconds for socket and handshake together.
    debug: write every frame of both sides to standard error.
    open_stream: opens the byte stream; for tests and proxies.

    What is asked of it before it is connected waits until the session is ready, in the order asked;
    after ``close``, or when the connection was lost, it raises ConnectFailed.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        speaker: str = DEFAULT_SPEAKER,
        model: str = DEFAULT_MODEL,
        instructions: str = "",
        session: Mapping[str, Any] | None = None,
        provider_data: Mapping[str, Any] | None = None,
        tools: ToolSet | None = None,
        url: str = INWORLD.endpoint,
        session_id: str | None = None,
        auth_scheme: Literal["basic", "bearer"] | None = None,
        connect_timeout_s: float = CONNECT_S,
        debug: bool = False,
        open_stream: OpenStream = open_tcp,
    ) -> None:
        self._api_key = api_key or os.environ.get(INWORLD.secret)
        self._auth_scheme = auth_scheme
        self._url = url
        self._session_id = session_id
        self._timeout_s = connect_timeout_s
        self._debug = debug
        self._open_stream = open_stream
        self._config = opening_session(
            model=model,
            speaker=speaker,
            session=session or {},
            provider_data=provider_data or {},
        )
        self._instructions = instructions
        self._tools = ToolSet(*([tools] if tools is not None else []))
        self._block = Block()
        self._link: VoiceLink | None = None
        self._connecting = trio.Lock()
        self._speaking = trio.Lock()
        self._requests = 0
        self._early: list[Callable[[VoiceLink], None]] = []  # asked for before there is a session
        self._settled = trio.Event()  # the attempt to connect that is under way, or the next one

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> RealtimeVoice:
        """Connect. Raises as ``connect``."""
        if self._block.nursery is not None:
            raise ScenarioError("this RealtimeVoice is entered already; make another one")
        await self._block.enter()
        try:
            await self.connect()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection and wait for it, at most 3 s."""
        try:
            with trio.move_on_after(CLOSE_S, shield=True):
                if self._link is not None:
                    await self._link.aclose()
        finally:
            await self._block.leave(kind, error, traceback)

    async def connect(self) -> None:
        """Connect, unless connected. Needed only again after ``close``, or when the line was lost.

        Returns when the service has agreed to the session. Raises ScenarioError without an API key
        or outside of ``async with``, ConnectFailed if the connection is refused, closed, or not
        ready within ``connect_timeout_s``.
        """
        if self._block.nursery is None:
            raise ScenarioError("a RealtimeVoice works inside `async with RealtimeVoice(...)`")
        if not self._api_key:
            raise ScenarioError(
                f"RealtimeVoice needs an API key: pass api_key= or set {INWORLD.secret}"
            )
        async with self._connecting:
            if self.connected:
                return
            if self._link is not None:
                await self._link.aclose()
            link = self._link = VoiceLink(
                INWORLD,
                self._connection,
                tools=self._tools,
                block=self._block,
                note=_to_stderr if self._debug else _to_nobody,
            )
            try:
                await link.connect(self._asked(), timeout_s=self._timeout_s)
                early, self._early = self._early, []
                for call in early:
                    call(link)
            except BaseException:
                link.close()
                raise
            finally:
                settled, self._settled = self._settled, trio.Event()
                settled.set()

    def _connection(self, reports: ConnectionReports) -> RealtimeConnection:
        key = self._session_id or f"voice-{int(clock.wall().timestamp() * 1000)}"
        return RealtimeConnection(
            session_url(self._url, key),
            [("Authorization", authorization(self._api_key or "", self._auth_scheme))],
            open_stream=self._open_stream,
            reports=reports,
            connect_s=math.inf,  # one deadline, ours, for socket and handshake
        )

    def close(self) -> None:
        """Close the connection without waiting; ``connect`` opens another. Idempotent.

        A ``speak`` or ``listen`` under way raises RequestFailed.
        """
        if self._link is not None:
            self._link.close()

    def disconnect(self) -> None:
        """Do what ``close`` does."""
        self.close()

    @property
    def connected(self) -> bool:
        """Whether the session is ready."""
        return self._link is not None and self._link.open

    @property
    def session(self) -> Mapping[str, Any]:
        """The session as the service last told it; read-only. Empty before the first connection."""
        return self._link.session if self._link is not None else {}

    # -- what the agent is ---------------------------------------------------------------------

    def get_speakers(self) -> list[dict[str, str]]:
        """Return a choice of voices, each ``{"voice_id": ...}``; the service has more."""
        return [{"voice_id": name} for name in SPEAKERS]

    def update_config(self, session: Mapping[str, Any] | None = None) -> None:
        """Lay ``session`` over what was asked so far, and send all of it as ``session.update``.

        Instructions and tools added since go with it. Without a connection it is kept for the next.
        """
        self._config = laid_over(self._config, session or {})
        if self._link is not None and self._link.open:
            self._link.configure(self._asked())

    def add_instructions(self, instructions: str) -> None:
        """Replace the prompt, from the next ``connect`` or ``update_config`` on."""
        self._instructions = instructions

    def add_tools(self, *functions: Callable[..., Any] | ToolSet) -> None:
        """Let the agent call these too, from the next ``connect`` or ``update_config`` on.

        Raises ScenarioError as ``ToolSet.add``.
        """
        self._tools.update(*functions)

    def _asked(self) -> dict[str, Any]:
        own: dict[str, Any] = {}
        if self._instructions:
            own["instructions"] = self._instructions
        if len(self._tools):
            own["tools"] = [*(self._config.get("tools") or []), *self._tools.schemas()]
        return {**self._config, **own}

    # -- talking -------------------------------------------------------------------------------

    async def speak(self, text: str | AsyncIterator[str], *, speaker: str | None = None) -> None:
        """Let the agent say ``text``; return when the service has sent all of it.

        It is sent faster than it plays. ``speaker`` is the voice for this once. Several at a time
        are said one after the other. Raises ScenarioError for an empty text, SpeechInterrupted if
        the user speaks over it, RequestFailed if the service refuses or the connection closes,
        ConnectFailed without a connection.
        """
        words = text if isinstance(text, str) else "".join([piece async for piece in text])
        if not words.strip():
            raise ScenarioError("RealtimeVoice.speak: the text is empty")
        response: dict[str, Any] = {"instructions": f"Repeat the following text: {words}"}
        if speaker:
            response["voice"] = speaker  # flat: Inworld ignores response.audio
        await self._respond({"type": "input_text", "text": words}, response)

    async def listen(self, audio: Sound | AsyncIterator[Sound]) -> str:
        """Hand over a whole recording as the user's turn, and return what the service heard in it.

        ``audio`` is in the session's input format. Raises as ``speak``.
        """
        async with aclosing(pieces_of(audio)) as pieces:
            sound = b"".join([piece async for piece in pieces])
        if not sound:
            raise ScenarioError("RealtimeVoice.listen: the audio is empty")
        response = {
            "output_modalities": ["text"],
            "instructions": "Repeat only what was said in the audio, and say nothing else.",
        }
        part = {"type": "input_audio", "audio": base64_text(sound)}
        done = await self._respond(part, response)
        return " ".join(item_text(item) for item in done.get("output") or ())

    async def send(
        self, audio: Sound | AsyncIterator[Sound], *, event_id: str | None = None
    ) -> None:
        """Stream the user's audio: bytes in the session's input format, an int16 array, or many.

        Each piece is one message (20 to 100 ms are good). Returns when all of it is on its way; an
        iterator that does not end keeps it going. Raises ConnectFailed without a connection, or
        when it is lost.
        """
        await self._wait_connected()
        async with aclosing(pieces_of(audio)) as pieces:
            async for piece in pieces:
                link = self._connected()
                append = ce.InputAudioBufferAppend(audio=base64_text(piece), event_id=event_id)
                link.send(append)
                await link.room()

    def answer(self, options: Mapping[str, Any] | None = None) -> None:
        """Ask the agent to respond (``response.create``), ``options`` for this response only."""
        self._submit(ce.ResponseCreate(response=dict(options or {})))

    def commit_input(self) -> None:
        """Make a turn of the audio sent so far; for use without turn detection."""
        self._submit(ce.InputAudioBufferCommit())

    def clear_input(self) -> None:
        """Drop the audio that is not part of a turn yet."""
        self._submit(ce.InputAudioBufferClear())

    def clear_output(self) -> None:
        """Stop the agent: everything it has not said, murmurs included, here and at the service."""
        self._when_open(VoiceLink.clear_output)

    def _submit(self, event: ClientEvent) -> None:
        self._when_open(lambda link: link.submit(event))

    def _when_open(self, call: Callable[[VoiceLink], None]) -> None:
        if self._expected:
            self._early.append(call)
        else:
            call(self._connected())

    @property
    def _expected(self) -> bool:
        """Whether a connection is still to come, so that what is asked for can wait for it."""
        return self._link is None or self._link.opening

    async def _wait_connected(self) -> VoiceLink:
        while self._expected:
            await self._settled.wait()
        return self._connected()

    async def _respond(
        self, part: Mapping[str, Any], response: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        async with self._speaking:
            link = await self._wait_connected()
            self._requests += 1
            name = f"voice_{self._requests}"
            wait = ResponseWait(create_id=name, item_id=f"{name}_item")
            item = {"type": "message", "role": "user", "content": [dict(part)]}
            return await link.respond(
                wait,
                ce.ConversationItemCreate(item=item, event_id=f"{name}_item"),
                ce.ResponseCreate(response=dict(response), event_id=name),
            )

    def _connected(self) -> VoiceLink:
        if self._link is None or not self._link.open:
            raise ConnectFailed("the voice is not connected: `await voice.connect()` first")
        return self._link

    # -- listening to the voice ----------------------------------------------------------------

    @overload
    def on(self, kind: type[E], handler: Callable[[E], Any]) -> Callable[[E], Any]: ...

    @overload
    def on(self, kind: str, handler: H) -> H: ...

    @overload
    def on(self, kind: type[Any] | str, handler: None = None) -> Callable[[H], H]: ...

    def on(self, kind: Any, handler: Any = None) -> Any:
        """Call ``handler(payload)`` for every event ``kind``; also a decorator. Sync or async.

        ``kind`` is a member of VoiceEvents, its name, a wire event class or its name. Returns the
        handler. Raises UnknownName for other names, ScenarioError for what is no function.
        """
        if handler is None:
            return lambda given: self.on(kind, given)
        self._block.add(kind, handler)
        return handler

    def off(self, kind: Any, handler: Callable[[Any], Any] | None = None) -> None:
        """Remove a listener, or all listeners of an event; absent ones are ignored."""
        self._block.remove(kind, handler)


def _to_stderr(direction: str, frame: str | bytes) -> None:
    sys.stderr.write(f"{direction} {frame if isinstance(frame, str) else frame.decode()}\n")


def _to_nobody(_direction: str, _frame: str | bytes) -> None:
    """Frames are looked at with ``debug`` only."""
