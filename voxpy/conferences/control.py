"""What drives a Conference: a place in the mix for every unit that is joined to it."""

from __future__ import annotations

from typing import Any

from voxpy.audio.frame import pcm16
from voxpy.conferences.conference import Conference
from voxpy.conferences.events import ConferenceEvent, ConferenceEvents
from voxpy.engine.session import Session
from voxpy.media.conference import MixMinus
from voxpy.media.unit import MediaPort

__all__ = ["LARGEST", "ConferenceController"]

STANDARD_HZ = 8000
HD_HZ = 48000
LARGEST = 100
"""Members of one conference, as in VoxEngine."""
FULL = 403


class ConferenceController:
    """Implements ``voxpy.conferences.conference.ConferenceControl``."""

    def __init__(self, session: Session, *, hd_audio: bool) -> None:
        self._session = session
        self.conference_id = session.new_id("conference")
        self.conference = Conference(session, self)
        self._units: dict[str, Any] = {}
        self._mix = MixMinus(
            pcm16(HD_HZ if hd_audio else STANDARD_HZ),
            name=self.conference_id,
            on_left=self._left,
        )
        self._stopped = False

    def start(self) -> None:
        """Begin to mix."""
        self._session.graph.add_mixer(self._mix)
        self._post(ConferenceEvents.Started(conference=self.conference))

    def members(self) -> list[Any]:
        """Return the units in it."""
        return list(self._units.values())

    def media_for(self, peer: Any) -> MediaPort | None:
        """Return the place of a unit; None if it is over, or full for one that is not in it."""
        peer_id = peer.id()
        if self._stopped:
            return None
        if peer_id not in self._units and len(self._units) >= LARGEST:
            self._refuse(peer_id)
            return None
        self._units[peer_id] = peer
        return self._mix.port(peer_id)

    def stop(self) -> None:
        """End it."""
        if not self._stopped:
            self._stopped = True
            self._session.graph.remove_mixer(self._mix)
            self._units.clear()
            self._post(ConferenceEvents.Stopped(conference=self.conference))

    def _left(self, peer_id: str) -> None:
        unit = self._units.pop(peer_id, None)
        if unit is not None:
            self._session.trace.step("left conference", unit=self.conference_id, member=peer_id)

    def _refuse(self, peer_id: str) -> None:
        self._post(
            ConferenceEvents.ConferenceError(
                conference=self.conference,
                error=f"{peer_id} cannot join: a conference has {LARGEST} members at most",
                code=FULL,
                endpoint_id=peer_id,
            )
        )

    def _post(self, event: ConferenceEvent) -> None:
        self._session.post(self.conference.listeners, event)
