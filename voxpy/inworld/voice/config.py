"""The session a voice asks for: its defaults, and how what the user says is laid over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.errors import ScenarioError
from voxpy.wire.realtime.events.session import laid_over

DEFAULT_MODEL = "inworld/models/gemma-4-26b-a4b-it"
DEFAULT_SPEAKER = "Sarah"
SPEAKERS = (
    "Dennis", "Hades", "Wendy", "Edward", "Olivia", "Sarah", "Timothy", "Priya", "Ronald",
    "Deborah",
)  # fmt: skip
"""A choice of Inworld's voices; its catalog has more, and any id of it may be used."""

TURN_DETECTION: Mapping[str, Any] = {
    "type": "semantic_vad",
    "eagerness": "medium",
    "create_response": True,
    "interrupt_response": True,
}
TRANSCRIPTION: Mapping[str, Any] = {"model": "inworld/inworld-stt-1"}


def opening_session(
    *,
    model: str,
    speaker: str,
    session: Mapping[str, Any],
    provider_data: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the session to ask for, tools and instructions apart.

    Defaults are the model, the voice, semantic turn detection and Inworld's recogniser. The last
    two are left out whole where ``session`` has the field, be it null. ``provider_data`` is laid
    over ``session["providerData"]``. Raises ScenarioError for a misspelt ``provider_data`` inside
    ``session``: the service would ignore it in silence.
    """
    if "provider_data" in session:
        raise ScenarioError(
            "session['provider_data'] would be ignored by the service: spell it 'providerData', "
            "or use the parameter provider_data"
        )
    given = (session.get("audio") or {}).get("input") or {}
    defaults = {"transcription": TRANSCRIPTION, "turn_detection": TURN_DETECTION}
    asked: dict[str, Any] = {
        "type": "realtime",
        "model": model,
        "audio": {
            "input": {name: dict(v) for name, v in defaults.items() if name not in given},
            "output": {"voice": speaker},
        },
        # With tools, one of the two must begin the response that follows; it is this side, because
        # the service's default is not documented.
        "providerData": {"auto_tool_response": False},
    }
    asked = laid_over(asked, session)
    asked["providerData"] = laid_over(asked["providerData"] or {}, provider_data)
    return asked


def interrupts(session: Mapping[str, Any]) -> bool:
    """Return whether a user who speaks ends the agent's response in this session.

    Not if turn detection says so, and not without turn detection: turns are the program's then.
    """
    audio_input = (session.get("audio") or {}).get("input") or {}
    detection = audio_input.get("turn_detection", TURN_DETECTION)
    return detection is not None and detection.get("interrupt_response") is not False
