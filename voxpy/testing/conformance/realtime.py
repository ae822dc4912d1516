"""What a client may expect of every server of the realtime protocol, ours and others'."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import trio

from voxpy.sockets import FrameSocket
from voxpy.testing.conformance.rules import Check, check_all, rule

Connect = Callable[[], Awaitable[FrameSocket]]
"""Opens a WebSocket to the server, with key and all: ``partial(voxpy.sockets.connect, ...)``."""

WITHIN_S = 20.0
PCM_SAMPLE_BYTES = 2
HALF_A_SECOND = bytes(24000)


async def check_realtime_server(connect: Connect) -> None:
    """Check the rules that voxpy's client relies on. Raises Nonconforming, which names them.

    Every rule has a session of its own and asks for one short answer at most.
    """
    await check_all("the realtime server", REALTIME_SERVER_CHECKS, connect)


class _Session:
    """A client that knows nothing but JSON."""

    def __init__(self, socket: FrameSocket) -> None:
        self._socket = socket
        self._events, self._unread = trio.open_memory_channel[dict[str, Any]](10_000)
        self.seen: list[dict[str, Any]] = []
        socket.on_message = self._receive

    def _receive(self, message: str | bytes) -> None:
        self._events.send_nowait(orjson.loads(message))

    def over(self) -> None:
        self._events.close()

    def send(self, kind: str, **fields: Any) -> None:
        self.send_raw(orjson.dumps({"type": kind, **fields}).decode())

    def send_raw(self, text: str) -> None:
        self._socket.send(text)

    async def next(self) -> dict[str, Any]:
        try:
            with trio.fail_after(WITHIN_S):
                event = await self._unread.receive()
        except trio.TooSlowError:
            raise AssertionError(
                f"nothing within {WITHIN_S:g} s after {self.types()[-5:]}"
            ) from None
        except trio.EndOfChannel:
            how = self._socket.closed
            raise AssertionError(f"it closed ({how}) after {self.types()[-5:]}") from None
        self.seen.append(event)
        return event

    async def until(self, *kinds: str) -> dict[str, Any]:
        while (event := await self.next()).get("type") not in kinds:
            pass
        return event

    def types(self) -> list[str]:
        return [str(event.get("type")) for event in self.seen]

    async def ready(self, **session: Any) -> dict[str, Any]:
        """Open the session; return it as the server confirmed it."""
        await self.until("session.created")
        self.send("session.update", session={"type": "realtime", **session})
        updated = await self.until("session.updated", "error")
        assert updated["type"] == "session.updated", f"refused: {updated}"
        confirmed: dict[str, Any] = updated["session"]
        return confirmed

    async def still_there(self) -> None:
        """See that the session goes on."""
        self.send("session.update", session={"type": "realtime", "instructions": "Go on."})
        await self.until("session.updated")


@asynccontextmanager
async def _session(connect: Connect) -> AsyncIterator[_Session]:
    socket = await connect()
    session = _Session(socket)
    failed: list[AssertionError] = []

    async def run() -> None:
        await socket.run()
        session.over()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield session
        except AssertionError as error:  # outside of the nursery's group
            failed.append(error)
        socket.close()
        with trio.move_on_after(2):
            await socket.aclose()
        nursery.cancel_scope.cancel()
    if failed:
        raise failed[0]


def _answered(seen: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in seen if event.get("type") == kind]


@rule
async def _the_session_comes_first(connect: Connect) -> None:
    """The first event is session.created, whose session has an id (OpenAI: session.created)."""
    async with _session(connect) as session:
        first = await session.next()
        assert first.get("type") == "session.created", f"{first}"
        assert isinstance(first.get("session"), Mapping), f"{first}"
        assert first["session"].get("id"), f"{first}"


@rule
async def _an_update_is_confirmed(connect: Connect) -> None:
    """session.update is answered by session.updated with what was asked for (OpenAI)."""
    async with _session(connect) as session:
        confirmed = await session.ready(instructions="Say yes.")
        assert confirmed.get("instructions") == "Say yes.", f"{confirmed}"


@rule
async def _events_have_ids_of_their_own(connect: Connect) -> None:
    """Every event has a type and an event_id that no other has (OpenAI: server events)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("response.create")
        await session.until("response.done")
        ids = [event.get("event_id") for event in session.seen]
        nameless = [e for e in session.seen if not e.get("event_id")]
        assert not nameless, f"without: {nameless[0]}"
        assert len(set(ids)) == len(ids), "two have the same"


@rule
async def _an_item_is_added(connect: Connect) -> None:
    """conversation.item.create is answered by conversation.item.added with its words (OpenAI)."""
    async with _session(connect) as session:
        await session.ready()
        content = [{"type": "input_text", "text": "Good morning."}]
        item = {"type": "message", "role": "user", "content": content}
        session.send("conversation.item.create", item=item)
        added = await session.until("conversation.item.added", "error")
        assert added["type"] == "conversation.item.added", f"{added}"
        assert added["item"].get("id"), f"{added}"
        assert added["item"]["content"][0]["text"] == "Good morning.", f"{added}"


@rule
async def _a_response_has_an_order(connect: Connect) -> None:
    """response.created, the item, its audio, then response.done, all of one id (OpenAI)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("response.create")
        done = await session.until("response.done", "error")
        assert done["type"] == "response.done", f"{done}"
        created = _answered(session.seen, "response.created")
        assert len(created) == 1, f"{len(created)} response.created"
        response_id = created[0]["response"]["id"]
        assert done["response"]["id"] == response_id, f"{done}"
        types = session.types()
        for kind in ("response.output_item.added", "response.output_audio.delta"):
            assert kind in types, f"no {kind} among {sorted(set(types))}"
        order = ("response.created", "response.output_item.added", "response.output_audio.delta")
        firsts = [types.index(kind) for kind in order]
        assert firsts == sorted(firsts), f"{types}"
        own = {e["response_id"] for e in session.seen if "response_id" in e}
        assert own == {response_id}, f"{own} and {response_id}"


@rule
async def _audio_is_whole_samples(connect: Connect) -> None:
    """Audio is base64 of whole samples in the session's format (OpenAI: output_audio.delta)."""
    async with _session(connect) as session:
        await session.ready(audio={"output": {"format": {"type": "audio/pcm", "rate": 24000}}})
        session.send("response.create")
        await session.until("response.done")
        deltas = _answered(session.seen, "response.output_audio.delta")
        assert deltas, f"no audio among {sorted(set(session.types()))}"
        size = sum(len(b64decode(delta["delta"], validate=True)) for delta in deltas)
        assert size, "the audio is empty"
        assert size % PCM_SAMPLE_BYTES == 0, f"{size} bytes"


@rule
async def _an_unknown_event_is_an_error_only(connect: Connect) -> None:
    """An event the server does not know is answered by error, and the session goes on (OpenAI)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("no.such.event")
        await session.until("error")
        await session.still_there()


@rule
async def _bad_json_is_an_error_only(connect: Connect) -> None:
    """Text that is no JSON is answered by error, and the session goes on (OpenAI: error)."""
    async with _session(connect) as session:
        await session.ready()
        session.send_raw("{no json")
        await session.until("error")
        await session.still_there()


@rule
async def _an_error_names_its_event(connect: Connect) -> None:
    """An error has a type, a message, and the event_id of what caused it (OpenAI: error)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("no.such.event", event_id="mine-1")
        error = (await session.until("error"))["error"]
        assert error.get("type"), f"{error}"
        assert error.get("message"), f"{error}"
        assert error.get("event_id") == "mine-1", f"{error}"


@rule
async def _one_response_at_a_time(connect: Connect) -> None:
    """A second response.create meanwhile is refused, and the first goes on to its end (OpenAI)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("response.create")
        session.send("response.create")
        await session.until("response.done")
        errors = [e["error"] for e in _answered(session.seen, "error")]
        assert len(_answered(session.seen, "response.created")) == 1, f"{session.types()}"
        codes = [error.get("code") for error in errors]
        assert codes == ["conversation_already_has_active_response"], f"{errors}"


@rule
async def _an_idle_cancel_is_harmless(connect: Connect) -> None:
    """response.cancel without a response is an error with a code, and no more (OpenAI)."""
    async with _session(connect) as session:
        await session.ready()
        session.send("response.cancel")
        error = (await session.until("error"))["error"]
        assert error.get("code") == "response_cancel_not_active", f"{error}"
        await session.still_there()


@rule
async def _silence_is_no_speech(connect: Connect) -> None:
    """Silence in the input buffer starts no turn (OpenAI: turn detection)."""
    async with _session(connect) as session:
        await session.ready(audio={"input": {"format": {"type": "audio/pcm", "rate": 24000}}})
        for _ in range(2):
            session.send("input_audio_buffer.append", audio=b64encode(HALF_A_SECOND).decode())
        await session.still_there()
        assert "input_audio_buffer.speech_started" not in session.types(), f"{session.types()}"


REALTIME_SERVER_CHECKS: tuple[Check[Connect], ...] = (
    _the_session_comes_first,
    _an_update_is_confirmed,
    _events_have_ids_of_their_own,
    _an_item_is_added,
    _a_response_has_an_order,
    _audio_is_whole_samples,
    _an_unknown_event_is_an_error_only,
    _bad_json_is_an_error_only,
    _an_error_names_its_event,
    _one_response_at_a_time,
    _an_idle_cancel_is_harmless,
    _silence_is_no_speech,
)
