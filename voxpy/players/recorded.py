"""The sound of a file: fetched or read, then decoded a second at a time, off the event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from voxpy.audio.convert import encode
from voxpy.audio.decoder import Decoder
from voxpy.audio.frame import pcm16
from voxpy.engine.clock import off_loop
from voxpy.engine.http import BodyPart
from voxpy.engine.session import Session
from voxpy.errors import SoundFailed, VoxpyError
from voxpy.players.files import SoundCache, download, is_local, read_local
from voxpy.players.request import SoundRequest

PIECE_S = 1.0


class RecordedSound:
    """A Sound. ``progressive``: it begins as soon as the first part of the file is there.

    A file on this machine is always read whole, and so is one whose server does not tell its size.
    """

    def __init__(
        self,
        session: Session,
        request: SoundRequest,
        *,
        cache: SoundCache,
        loop: bool,
        progressive: bool,
    ) -> None:
        here = session.context.files.here(request.url)  # its own recording, on its way to a store
        if here is not None:
            request = SoundRequest(url=str(here))
        self._session = session
        self._request = request
        self._cache = cache
        self._loop = loop
        self._progressive = progressive and not is_local(request.url)
        self._decoder: Decoder | None = None
        self._arriving = _Arriving()
        self.rate_hz = 0
        self.duration_ms: float | None = None

    async def open(self, rate_hz: int | None) -> None:
        """Get the file, or its beginning. Raises SoundFailed."""
        if is_local(self._request.url):
            folders = _folders(self._session)
            data = await off_loop(read_local, self._request.url, folders, self._cache)
            decoder = await self._decode(BodyPart(data, len(data)), rate_hz)
        elif self._progressive:
            self._session.spawn(f"loading {self._request.shown}", self._load)
            decoder = await self._decode_beginning(rate_hz)
        else:
            data = await self._download()
            decoder = await self._decode(BodyPart(data, len(data)), rate_hz)
        found = decoder.description
        self.rate_hz = found.rate_hz
        self.duration_ms = None if found.duration_s is None else found.duration_s * 1000
        self._session.trace.step(
            "sound opened",
            url=self._request.shown,
            format=found.kind,
            rate_hz=found.file_rate_hz,
            channels=found.channels,
            duration_s=None if found.duration_s is None else round(found.duration_s, 3),
        )

    async def read(self) -> bytes:
        """Return the next second. Raises SoundFailed for a damaged file or a broken download."""
        decoder = self._decoder
        assert decoder is not None  # open() made it
        while True:
            samples = await off_loop(decoder.read, PIECE_S)
            if len(samples):
                return encode(samples, pcm16(self.rate_hz))
            if decoder.complete:
                if self._loop:
                    decoder.again()
                return b""
            part = await self._arriving.more()
            await off_loop(decoder.extend, part.data)

    def close(self) -> None:
        """Break the download off and free the decoder."""
        self._arriving.scope.cancel()
        if self._decoder is not None:
            self._decoder.close()

    async def _download(self, on_part: Callable[[BodyPart], None] | None = None) -> bytes:
        send = self._session.context.fetch
        return await download(self._request, self._cache, on_part, send=send)

    async def _load(self) -> None:
        with self._arriving.scope:
            try:
                data = await self._download(self._arriving.grow)
                self._arriving.grow(BodyPart(data, len(data)))
            except SoundFailed as error:
                self._arriving.fail(error)

    async def _decode_beginning(self, rate_hz: int | None) -> Decoder:
        """Decode the first part that can be decoded: long tags may fill all of the first ones."""
        while True:
            part = await self._arriving.more()
            try:
                return await self._decode(part, rate_hz)
            except SoundFailed:
                if len(part.data) == part.size_bytes:
                    raise

    async def _decode(self, part: BodyPart, rate_hz: int | None) -> Decoder:
        self._decoder = await off_loop(self._make_decoder, part, rate_hz)
        return self._decoder

    def _make_decoder(self, part: BodyPart, rate_hz: int | None) -> Decoder:
        return Decoder(
            part.data,
            name=self._request.shown,
            rate_hz=rate_hz,
            size_bytes=part.size_bytes,
            loop=self._loop,
        )


class _Arriving:
    """A file on its way: the newest part of it, or why there will be no more."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self._part: BodyPart | None = None
        self._error: VoxpyError | None = None
        self._news = trio.Event()

    def grow(self, part: BodyPart) -> None:
        """Take the file as far as it is there; without its size nothing can be made of it."""
        if part.size_bytes is not None:
            self._part = part
            self._news.set()

    def fail(self, error: VoxpyError) -> None:
        """Let whoever waits for more raise ``error``."""
        self._error = error
        self._news.set()

    async def more(self) -> BodyPart:
        """Wait for a part that was not returned before. Raises what the download failed with."""
        await self._news.wait()
        self._news = trio.Event()
        if self._error is not None:
            raise self._error
        assert self._part is not None
        return self._part


def _folders(session: Session) -> Sequence[Path]:
    """Return where files may lie, in the order relative paths are looked for."""
    return (*session.folders, Path.cwd(), session.context.files.path("x").parent)
