"""Every error voxpy raises on purpose, and the hint that goes into its message.

::

    VoxpyError
    ├── ConfigError          a file the user owns is wrong (file, line)
    ├── ScenarioError        a scenario cannot be loaded or uses voxpy wrongly
    │   ├── UnknownName      a misspelt event, module, method (also an AttributeError)
    │   └── NoSession        scenario vocabulary used outside a session
    ├── NotSupported         this channel cannot do it (names what could)
    ├── LocalProtocolError   we broke a protocol
    ├── RemoteProtocolError  they broke a protocol
    ├── ConnectFailed        a connection was not made (status, reason)
    │   └── HandshakeRefused     a server answered a WebSocket's opening with another HTTP status
    ├── CallFailed           a call was not made (SIP code, reason)
    ├── RequestFailed        a service did not do what it was asked (code)
    │   └── SpeechInterrupted    the user spoke over what the agent was to say
    ├── ToolError            a tool tells the model why it cannot do what it was asked
    ├── SoundFailed          a sound cannot be played: not there, too large, no audio
    ├── EngineMissing        a speech engine or audio device is not installed
    └── LimitExceeded        a documented bound was passed
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = [
    "CallFailed",
    "ConfigError",
    "ConnectFailed",
    "EngineMissing",
    "HandshakeRefused",
    "HelpsWithNames",
    "LimitExceeded",
    "LocalProtocolError",
    "NoSession",
    "NotSupported",
    "RemoteProtocolError",
    "RequestFailed",
    "ScenarioError",
    "SoundFailed",
    "SpeechInterrupted",
    "ToolError",
    "UnknownName",
    "VoxpyError",
    "install_command",
    "nearest",
]


class VoxpyError(Exception):
    """Base of every error voxpy raises on purpose; never raised itself."""


class ConfigError(VoxpyError):
    """A file the user owns is wrong. ``str()`` starts with ``file:line:`` where they are known."""

    def __init__(self, problem: str, *, file: str | None = None, line: int | None = None) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        where = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(where + problem)


class ScenarioError(VoxpyError):
    """A scenario file cannot be loaded, or calls voxpy in a way that cannot work."""


class UnknownName(ScenarioError, AttributeError):
    """A name that does not exist in the vocabulary; the message gives the nearest one."""


class NoSession(ScenarioError):
    """Scenario vocabulary was used outside a running session: without one, or after its end."""


class NotSupported(VoxpyError):
    """What was asked exists in the API but not on this channel; the message says where it does."""


class LocalProtocolError(VoxpyError):
    """We were about to break a protocol: a bug in the calling code."""


class RemoteProtocolError(VoxpyError):
    """The other side broke a protocol."""


class ConnectFailed(VoxpyError):
    """A connection could not be opened. ``status`` is the HTTP status when there was an answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class HandshakeRefused(ConnectFailed):
    """A server answered a WebSocket's opening with an HTTP status other than 101."""

    def __init__(
        self, message: str, *, status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> None:
        self.headers = dict(headers)
        self.body = body
        super().__init__(message, status=status)


class CallFailed(VoxpyError):
    """A call was not established. ``code`` is the SIP status (RFC 3261 section 21)."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class RequestFailed(VoxpyError):
    """A service did not do what it was asked, and says why. ``code`` is its own, if it gave one."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


class SpeechInterrupted(RequestFailed):
    """What the agent was to say was cut short: the user spoke, or it was cancelled."""


class ToolError(VoxpyError):
    """Raised by a tool: the message is for the model, as a result that it can talk about.

    Any other exception is a fault of the tool, with a traceback for its author.
    """


class SoundFailed(VoxpyError):
    """A sound cannot be played; the message names it and what is wrong with it."""


class EngineMissing(VoxpyError):
    """A speech engine or an audio device is absent; the message says how to get it."""


class LimitExceeded(VoxpyError):
    """A documented bound was passed."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra here: of a clone, or of the installed package.

    A virtual environment may be without pip (README makes it so): then another Python's is used.
    """
    from importlib.util import find_spec

    python = sys.executable or "python3"
    here = f"{os.getcwd()}{os.sep}"
    python = python.removeprefix(here)
    pip = f"{python} -m pip" if find_spec("pip") else f"python3 -m pip --python {python}"
    return f"{pip} install {_package(here)}[{extra}]'"


def _package(here: str) -> str:
    # Slow to import, and only needed when something is missing.
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        told = json.loads(distribution("voxpy").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    if told.get("dir_info", {}).get("editable"):
        clone = unquote(urlsplit(told["url"]).path)
        return "-e '." if f"{clone}{os.sep}" == here else f"-e '{clone}"
    return "'voxpy"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'X'?"`` for the known name closest to ``name``, or an empty string.

    Case and underscores are ignored, so that ``sendMediaTo`` finds ``send_media_to``.
    """
    folded = {k.replace("_", "").lower(): k for k in known}
    close = difflib.get_close_matches(name.replace("_", "").lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


class HelpsWithNames:
    """Base of what scenarios hold: a misspelt member is an error that gives the nearest real one.

    ``_hints`` are for names that the spelling alone would lead astray, in lower case.
    """

    __slots__ = ()
    _hints: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise UnknownName(f"{self._title()} has no {name!r}{self._hint(name)}")

    def _title(self) -> str:
        return type(self).__qualname__

    def _hint(self, name: str) -> str:
        known = [n for n in dir(type(self)) if not n.startswith("_")]
        return self._hints.get(name.lower()) or nearest(name, known)
