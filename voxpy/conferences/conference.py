"""``Conference``: a room of calls (VoxEngine: Conference)."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from voxpy.audio.frame import pcm16
from voxpy.conferences.events import ConferenceEvents
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaSource, MediaUnit
from voxpy.errors import NotSupported, ScenarioError
from voxpy.media.conference import MixMinus
from voxpy.media.unit import MediaPort

STANDARD_HZ = 8000
HD_HZ = 48000
LARGEST = 100
"""Members of one conference, as in VoxEngine."""
FULL = 403


class Conference(MediaSource):
    """Hears many and gives each of them the sum of all the others (VoxEngine: Conference).

    Join a call with ``VoxEngine.send_media_between(call, conference)``. A player or an AI client
    that only sends is heard by all; a call or a recorder that is only sent to hears all. Who hangs
    up is gone. Listen with ``ConferenceEvents``.
    """

    _catalog: ClassVar[Catalog] = {"ConferenceEvents": ConferenceEvents}

    def __init__(self, session: Session, *, hd_audio: bool) -> None:
        super().__init__(session, session.new_id("conference"))
        self._members: dict[str, MediaUnit] = {}
        self._mix = MixMinus(
            pcm16(HD_HZ if hd_audio else STANDARD_HZ), name=self.id(), on_left=self._left
        )
        self._stopped = False
        session.trace.command("VoxEngine.create_conference", unit=self.id(), hd_audio=hd_audio)
        session.graph.add_mixer(self._mix)
        self._post(ConferenceEvents.Started(conference=self))

    def get_list(self) -> list[Any]:
        """Return the units that send to it or hear it, in the order they joined.

        In VoxEngine these are the endpoints of video conferences. VoxEngine: Conference.getList.
        """
        return list(self._members.values())

    def get(self, unit_id: str) -> Any:
        """Return the member with this id, or None. VoxEngine: Conference.get."""
        return self._members.get(unit_id)

    def add(self, *_: Any, **__: Any) -> NoReturn:
        """Add a video endpoint. Raises NotSupported: voxpy carries audio. VoxEngine: add."""
        raise NotSupported(
            "conference.add() is for the endpoints of a video conference, which voxpy has not; "
            "join a call with VoxEngine.send_media_between(call, conference)"
        )

    def stop(self) -> None:
        """End the conference; its members stay connected to nothing. Idempotent.

        VoxEngine: Conference.stop.
        """
        self._session.trace.command("Conference.stop", unit=self.id())
        if not self._stopped:
            self._stopped = True
            self._session.graph.remove_mixer(self._mix)
            self._members.clear()
            self._post(ConferenceEvents.Stopped(conference=self))

    def _media_for(self, peer: MediaUnit, tag: str = "") -> MediaPort | None:
        """Return the place of ``peer``: None if it is over, or full for one that is not in it."""
        if peer is self:
            raise ScenarioError(f"{self.id()} cannot send media to itself")
        if self._stopped:
            return None
        if peer.id() not in self._members and len(self._members) >= LARGEST:
            self._post(
                ConferenceEvents.ConferenceError(
                    conference=self,
                    error=f"{peer.id()} cannot join: a conference has {LARGEST} members at most",
                    code=FULL,
                    endpoint_id=peer.id(),
                )
            )
            return None
        self._members[peer.id()] = peer
        return self._mix.port(peer.id())

    def _left(self, peer_id: str) -> None:
        if self._members.pop(peer_id, None) is not None:
            self._session.trace.step("left conference", unit=self.id(), member=peer_id)
