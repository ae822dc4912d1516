"""WebSockets on trio for the two media paths: messages out without waiting, in by a callback.

``connect`` and ``receive_upgrade`` open one, ``FrameSocket`` is what both give.
"""

from __future__ import annotations

from voxpy.sockets.accepting import Upgrade, receive_upgrade
from voxpy.sockets.connecting import connect
from voxpy.sockets.framesocket import FrameSocket
from voxpy.sockets.terms import CloseInfo, SocketLimits, SocketStatistics

__all__ = [
    "CloseInfo",
    "FrameSocket",
    "SocketLimits",
    "SocketStatistics",
    "Upgrade",
    "connect",
    "receive_upgrade",
]
