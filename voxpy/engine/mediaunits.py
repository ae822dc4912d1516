"""Where the media of two units meets: at the port a unit has, or at one that it has for a peer."""

from __future__ import annotations

from typing import Any

from voxpy.errors import ScenarioError
from voxpy.media.unit import MediaPort

__all__ = ["media_ports", "ways_between"]


def media_ports(source: Any, target: Any) -> tuple[MediaPort, MediaPort] | None:
    """Return the ports between which media is to flow.

    A unit that mixes (a conference, a recorder) has a port for every peer, which its ``media_for``
    returns: None if it has stopped, and then there is nothing to connect. Raises ScenarioError if
    one of the two is no media unit or both are the same conference.
    """
    for unit in (source, target):
        if not (_mixes(unit) or isinstance(getattr(unit, "media", None), MediaPort)):
            raise ScenarioError(
                f"{type(unit).__name__} is not a media unit; calls, players, recorders, "
                "conferences and AI clients are"
            )
    if source is target and _mixes(source):
        raise ScenarioError(f"{source.id()} cannot send media to itself")
    from_port, to_port = _port(source, target), _port(target, source)
    return None if from_port is None or to_port is None else (from_port, to_port)


def ways_between(unit1: Any, unit2: Any) -> list[tuple[Any, Any]]:
    """Return the pairs (source, target) of the two that can be connected: a player does not hear.

    If there is no way, the first pair, for the error that names why. Raises as ``media_ports``.
    """
    ways = []
    for source, target in ((unit1, unit2), (unit2, unit1)):
        ports = media_ports(source, target)
        if ports is None or (ports[0].source is not None and ports[1].sink is not None):
            ways.append((source, target))
    return ways or [(unit1, unit2)]


def _mixes(unit: Any) -> bool:
    return hasattr(type(unit), "media_for")


def _port(unit: Any, peer: Any) -> MediaPort | None:
    port: MediaPort | None = unit.media_for(peer) if _mixes(unit) else unit.media
    return port
