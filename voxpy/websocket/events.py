"""``WebSocketEvents`` and the constants beside them (VoxEngine: WebSocketEvents ...)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import attrs

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.websocket.socket import WebSocket


@event_class
class WebSocketEvent(Event):
    """Base of every event of a WebSocket."""

    websocket: WebSocket


@event_class
class Created(WebSocketEvent):
    """The socket exists and is being connected. Only of one that the scenario opens."""

    name: ClassVar[str] = "WebSocket.Created"
    statistics_url: str = ""


@event_class
class Open(WebSocketEvent):
    """The socket is open: ``send`` works from now on. Only of one that the scenario opens."""

    name: ClassVar[str] = "WebSocket.Open"


@event_class
class Message(WebSocketEvent):
    """A text message came; those that carry media do not come as messages."""

    name: ClassVar[str] = "WebSocket.Message"
    text: str


@event_class
class Close(WebSocketEvent):
    """The socket is over. ``code`` is one of WebSocketCloseCode, as a number."""

    name: ClassVar[str] = "WebSocket.Close"
    code: int
    reason: str = ""
    was_clean: bool = False


@event_class
class Error(WebSocketEvent):
    """The socket could not be opened, or broke; Close follows."""

    name: ClassVar[str] = "WebSocket.Error"


@event_class
class MediaStarted(WebSocketEvent):
    """The far side has begun a stream."""

    name: ClassVar[str] = "WebSocket.MediaEventStarted"
    tag: str = ""
    encoding: str = ""
    custom_parameters: Mapping[str, Any] = attrs.field(factory=dict)


@event_class
class MediaEnded(WebSocketEvent):
    """The far side has stopped its stream, or sent nothing for a second.

    ``media_info["duration"]``: seconds of it that were played.
    """

    name: ClassVar[str] = "WebSocket.MediaEventEnded"
    tag: str = ""
    media_info: Mapping[str, float] = attrs.field(factory=dict)


class WebSocketEvents(metaclass=Namespace):
    """Events of a WebSocket; listen with ``websocket.add_event_listener``."""

    CREATED: TypeAlias = Created
    OPEN: TypeAlias = Open
    MESSAGE: TypeAlias = Message
    CLOSE: TypeAlias = Close
    ERROR: TypeAlias = Error
    MEDIA_STARTED: TypeAlias = MediaStarted
    MEDIA_ENDED: TypeAlias = MediaEnded


class WebSocketReadyState(metaclass=Namespace):
    """What ``websocket.ready_state`` says."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class WebSocketAudioEncoding(metaclass=Namespace):
    """What ``encoding=`` of ``send_media_to`` takes for a WebSocket."""

    PCM16_8KHZ = "PCM8"
    PCM16_16KHZ = "PCM16"
    ALAW = "ALAW"
    ULAW = "ULAW"
    OPUS = "OPUS"


class WebSocketCloseCode(metaclass=Namespace):
    """Why a WebSocket was closed (RFC 6455 section 7.4); VoxEngine has them as strings."""

    CLOSE_NORMAL = "1000"
    CLOSE_GOING_AWAY = "1001"
    CLOSE_PROTOCOL_ERROR = "1002"
    CLOSE_UNSUPPORTED = "1003"
    CLOSED_NO_STATUS = "1005"
    CLOSE_ABNORMAL = "1006"
    CLOSE_UNSUPPORTED_PAYLOAD = "1007"
    CLOSE_POLICY_VIOLATION = "1008"
    CLOSE_TOO_LARGE = "1009"
    CLOSE_MANDATORY_EXTENSION = "1010"
    CLOSE_SERVER_ERROR = "1011"
    CLOSE_SERVICE_RESTART = "1012"
    CLOSE_TRY_AGAIN_LATER = "1013"
    CLOSE_BAD_GATEWAY = "1014"
    CLOSE_TLS_FAIL = "1015"
