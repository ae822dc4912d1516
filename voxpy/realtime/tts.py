"""Players that speak text as it comes: what those of all services have in common.

Text goes in piece by piece over a WebSocket, audio comes back and is played as it comes.
``Started`` comes with the first sound, ``AudioChunksPlaybackFinished`` whenever all that came was
played, and ``PlaybackFinished`` when the service has said that no more will come and that was
played. A subclass makes frames and reads them (``_read``).
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from voxpy.audio.frame import Format
from voxpy.engine.context import current
from voxpy.engine.units import Catalog, MediaSource
from voxpy.errors import NotSupported, ScenarioError
from voxpy.media.unit import MediaPort
from voxpy.players.events import PlayerEvents
from voxpy.players.playing import hearers_of
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.realtime.media import Voice, VoiceReports
from voxpy.realtime.service import Service
from voxpy.realtime.speech import choose
from voxpy.text import json
from voxpy.wire.realtime.endpoint import refusal_reason

LIMIT_S = 600.0
ITEM = "speech"

Fields = Mapping[str, Any]


class RealtimeTTSPlayer(MediaSource, ConnectionReports):
    """A voice that speaks what it is given. Listen with ``PlayerEvents``."""

    _catalog: ClassVar[Catalog] = {"PlayerEvents": PlayerEvents}
    _pausable = "it plays what a service sends, as it comes"

    def __init__(
        self, function: str, service: Service, *, api_key: str | None, fmt: Format
    ) -> None:
        session = current(function)
        base, key = choose(function, service, api_key, None)
        super().__init__(session, session.new_id("player"))
        self._over = self._last = self._begun = False
        self._voice = Voice(
            fmt,
            limit_s=LIMIT_S,
            reports=VoiceReports(
                started=self._started,
                ended=lambda _: None,
                overflowed=lambda s: session.trace.warning("speech dropped", limit_s=s),
                drained=self._drained,
            ),
        )
        self.media = MediaPort(name=self.id(), source=self._voice, ahead=self._voice)
        url = self._url(base)
        self._connection = RealtimeConnection(
            url,
            service.authentication(key),
            open_stream=session.context.open_stream,
            reports=self,
            inputs=session.context.inputs.socket(url),
        )
        session.trace.command(function, unit=self.id(), url=self._connection.url)
        session.add_closer(self.id(), self._connection.aclose)
        session.spawn(self.id(), self._connection.run)
        self._tell("Created")

    # -- what a scenario does with it ------------------------------------------------------------

    def clear_buffer(self) -> None:
        """Drop what was spoken and not played: the caller has begun to speak."""
        self._session.trace.command("RealtimeTTSPlayer.clear_buffer", unit=self.id())
        self._voice.clear()

    def stop(self) -> None:
        """End it for good; ``Stopped`` follows and nothing else."""
        self._session.trace.command("Player.stop", unit=self.id())
        if not self._over:
            self._over = True
            self._voice.clear()
            self._connection.close()
            self._tell("Stopped")

    def pause(self) -> None:
        """Raises NotSupported."""
        raise NotSupported(f"pause(): {self._pausable}; use clear_buffer() or stop()")

    def resume(self) -> None:
        """Raises NotSupported."""
        raise NotSupported(f"resume(): {self._pausable}")

    def add_marker(self, offset: float) -> None:
        """Raises NotSupported."""
        raise NotSupported(f"add_marker(): {self._pausable}, of no length that is known")

    # -- what a subclass has ---------------------------------------------------------------------

    def _url(self, base: str) -> str:
        """Return the address, of a service that is at ``base``."""
        raise NotImplementedError

    def _read(self, frame: Fields) -> None:
        raise NotImplementedError

    # -- for subclasses --------------------------------------------------------------------------

    def _send(self, frame: Fields) -> None:
        given: Any = frame  # scenarios are not always type checked
        if not isinstance(given, Mapping):
            raise ScenarioError(f"a message must be a dict, not {type(given).__name__}")
        if not self._over:
            self._last = False
            self._connection.send(orjson.dumps(frame))

    def _sound(self, encoded: Any) -> None:
        """Take audio, base64; a WAV header before it is left out."""
        try:
            data = binascii.a2b_base64(str(encoded or ""))
        except (binascii.Error, ValueError):
            self._session.trace.warning("audio is no base64", unit=self.id())
            return
        if data[:4] == b"RIFF":
            data = data[data.find(b"data") + 8 :]
        if data and not self._over:
            self._voice.write(data, item_id=ITEM, backchannel=False)

    def _no_more(self) -> None:
        """No more audio will come of what was sent."""
        self._last = True
        if not self._voice.sounding:
            self._drained()

    def _failed(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        self._session.troubles.agent_failed(self.id(), f"the voice failed: {why}")
        for hearer in hearers_of(self._session, self.media):
            hearer.playback_finished(why)
        self._tell("Error", error=why)
        self._tell("PlaybackFinished", error=why)

    # -- reports ---------------------------------------------------------------------------------

    def received(self, text: str) -> None:
        """Take a frame of the service's."""
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        if isinstance(frame, dict):
            self._read(frame)
        else:
            self._session.trace.warning("the voice sends what is no JSON", unit=self.id())

    def refused(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """See the HTTP answer that refused the upgrade."""
        self._failed(refusal_reason(status, body))

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn that the connection is over: what came is still played."""
        if was_clean and code == 1000:
            self._no_more()
        else:
            self._failed(f"the connection closed: {code} {reason}".strip())

    def _started(self) -> None:
        if not self._begun:
            self._begun = True
            self._tell("PlaybackReady")
            self._tell("Started", duration=0.0)
            for hearer in hearers_of(self._session, self.media):
                hearer.playback_ready()
                hearer.playback_started(0.0)

    def _drained(self) -> None:
        if self._over:
            return
        self._tell("AudioChunksPlaybackFinished")
        if self._last:
            for hearer in hearers_of(self._session, self.media):
                hearer.playback_finished(None)
            self._tell("PlaybackFinished", error=None)

    def _tell(self, name: str, **fields: Any) -> None:
        self._post(getattr(PlayerEvents, name)(player=self, **fields))
