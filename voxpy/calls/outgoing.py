"""Calls that a scenario makes: what is checked and counted before anybody is dialled."""

from __future__ import annotations

import re
from typing import Any, Protocol

import attrs

from voxpy.call import Call, make_call
from voxpy.calls.arguments import Headers, check_headers
from voxpy.engine.ports import DialKind, Leg, OutgoingCall, RefusedLeg
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError

TIMEOUT_HEADER = "vi-calltimeout"
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 10, 400
"""VoxEngine: the VI-CallTimeout header."""
SHORTEST_PUSH_MS, LONGEST_PUSH_MS = 10_000, 60_000
"""VoxEngine: CallUserParameters.pushNotificationTimeout."""
FORBIDDEN, NOT_FOUND = 403, 404
_PHONE_NUMBER = re.compile(r"\+?[0-9]{1,32}|\+?[0-9*#]{1,32}")


class AnsweringMachineDetector(Protocol):
    """What ``amd=`` takes: it listens to a call from the answer on."""

    def attach(self, call: Call) -> None:
        """Take the call to listen to; it is not answered yet."""


@attrs.define
class _Attempts:
    """The calls that one session has made."""

    made: int = 0
    ringing: list[Call] = attrs.field(factory=list)

    def refusal(self, session: Session) -> str:
        """Return why there may be no other call now, or an empty string."""
        limits = session.context.settings.limits
        self.ringing = [call for call in self.ringing if call.state() == "PROGRESSING"]
        if self.made >= limits.call_attempts:
            return f"Call limit reached: {limits.call_attempts} calls in one session"
        if len(self.ringing) >= limits.ringing_calls:
            return f"Call limit reached: {limits.ringing_calls} calls wait for an answer"
        return ""


def place_call(
    session: Session,
    command: str,
    *,
    kind: DialKind,
    destination: str,
    callerid: str,
    headers: Headers | None = None,
    video: bool = False,
    amd: AnsweringMachineDetector | None = None,
    allow_180_after_183: bool = False,
    **details: Any,
) -> Call:
    """Dial and return the call at once; what becomes of it arrives as ``CallEvents``.

    ``command`` names the VoxEngine function in messages; ``details`` are fields of OutgoingCall. A
    call above the limits fails with 403, and nothing is dialled for it or after the session's end.
    Raises ScenarioError for arguments that cannot be meant.
    """
    _check_text(command, "the destination", destination)
    _check_text(command, "callerid", callerid, may_be_empty=True)  # some callers withhold it
    if amd is not None and not callable(getattr(amd, "attach", None)):
        raise ScenarioError(f"{command}: amd takes a detector made by AMD.create(), not {amd!r}")
    own_headers, ring_timeout_s = _split_headers(session, command, headers)
    outgoing = OutgoingCall(
        leg_id=session.new_id("outgoing"),
        kind=kind,
        destination=destination,
        callerid=callerid,
        headers=own_headers,
        ring_timeout_s=ring_timeout_s,
        **details,
    )
    session.trace.command(
        f"VoxEngine.{command}", unit=outgoing.leg_id, number=destination, callerid=callerid
    )
    if video:
        session.trace.warning("voxpy carries audio only; the call has no video", of=command)
    call = make_call(
        session,
        _leg(session, outgoing),
        ring_timeout_s=ring_timeout_s,
        allow_180_after_183=allow_180_after_183,
    )
    _attempts(session).ringing.append(call)
    if amd is not None:
        amd.attach(call)
    return call


def push_timeout_s(command: str, push_notification_timeout: Any) -> float:
    """Return milliseconds as seconds. Raises ScenarioError outside 10,000 to 60,000."""
    value = push_notification_timeout
    if isinstance(value, int) and SHORTEST_PUSH_MS <= value <= LONGEST_PUSH_MS:
        return value / 1000
    raise ScenarioError(
        f"{command}: push_notification_timeout is {SHORTEST_PUSH_MS} to {LONGEST_PUSH_MS} ms, "
        f"not {value!r}"
    )


def _leg(session: Session, outgoing: OutgoingCall) -> Leg:
    """Dial, or return the leg of a call that fails."""
    attempts = _attempts(session)
    if session.ended is not None:
        return RefusedLeg(outgoing, FORBIDDEN, "The session has ended")
    refusal = attempts.refusal(session)
    if refusal:
        return RefusedLeg(outgoing, FORBIDDEN, refusal)
    attempts.made += 1
    if outgoing.kind == "pstn" and not _PHONE_NUMBER.fullmatch(outgoing.destination):
        return RefusedLeg(outgoing, NOT_FOUND, "Not a phone number: digits, with or without +")
    return session.context.dialer.dial(outgoing)


def _attempts(session: Session) -> _Attempts:
    attempts = session.parts.setdefault("calls.outgoing", _Attempts())
    assert isinstance(attempts, _Attempts)
    return attempts


def _split_headers(
    session: Session, command: str, headers: Headers | None
) -> tuple[dict[str, str], float]:
    """Return the headers for the far end, and how long it may ring in seconds."""
    timeout_s = session.context.settings.limits.unanswered_call_s
    own: dict[str, str] = {}
    for name, value in check_headers(headers).items():
        if name.lower() != TIMEOUT_HEADER:
            own[name] = value
            continue
        if not value.isascii() or not value.isdigit() or not _allowed(int(value)):
            raise ScenarioError(
                f"{command}: VI-CallTimeout is a number of seconds from {SHORTEST_TIMEOUT_S} to "
                f"{LONGEST_TIMEOUT_S}, not {value!r}"
            )
        timeout_s = float(value)
    return own, timeout_s


def _allowed(timeout_s: int) -> bool:
    return SHORTEST_TIMEOUT_S <= timeout_s <= LONGEST_TIMEOUT_S


def _check_text(command: str, what: str, value: Any, *, may_be_empty: bool = False) -> None:
    if not isinstance(value, str):
        raise ScenarioError(f"{command}: {what} must be a string, not {type(value).__name__}")
    if not value.isprintable():  # a line break would end a header of the INVITE
        raise ScenarioError(f"{command}: {what} {value!r} has a line break or control character")
    if not value and not may_be_empty:
        raise ScenarioError(f"{command}: {what} is empty")
