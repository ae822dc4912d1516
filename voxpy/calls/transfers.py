"""Transfers of one call: those its far end asks for, and those we ask of it.

::

    the far end asks (REFER) ──▶ BlindTransferRequested ──▶ the scenario calls, joins, notifies
    transfer_to() ──▶ the far end calls ──▶ TransferComplete, Disconnected │ TransferFailed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxpy.calls.arguments import Headers, check_headers
from voxpy.calls.state import CallState
from voxpy.errors import LimitExceeded, ScenarioError

if TYPE_CHECKING:
    from voxpy.call import Call
    from voxpy.engine.ports import Leg

MOST_TRANSFERS = 10
"""VoxEngine: of one call."""


class Transfers:
    """What a call does about them."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._made = 0

    def handle(self, enable: bool) -> None:
        """Take what the far end asks for as events, or decline it."""
        if self._state.takes("handle_blind_transfer", enable=enable):
            self._state.leg.transfers.handle(bool(enable))

    def succeeded(self) -> None:
        """Tell the far end that it is done."""
        if self._state.takes("notify_blind_transfer_success"):
            self._state.leg.transfers.answer(200, "OK")

    def failed(self, code: Any, reason: Any) -> None:
        """Tell the far end that it is not."""
        if not isinstance(code, int) or isinstance(code, bool) or not 300 <= code <= 699:
            raise ScenarioError(
                f"notify_blind_transfer_failed takes a SIP status from 300 to 699, not {code!r}"
            )
        if not isinstance(reason, str) or not reason.isprintable():
            raise ScenarioError(
                f"notify_blind_transfer_failed: reason is one line of text, not {reason!r}"
            )
        if self._state.takes("notify_blind_transfer_failed", code=code, reason=reason):
            self._state.leg.transfers.answer(code, reason)

    def ask(self, to: Any, call: Call | None, headers: Headers | None) -> None:
        """Ask the far end to call ``to`` itself, or to take the place of us in ``call``."""
        if not isinstance(to, str) or not to.isprintable() or not (to.strip() or call is not None):
            raise ScenarioError(f"transfer_to takes a number, a user or a SIP URI, not {to!r}")
        target = _leg_of(call, self._state.call)
        headers = check_headers(headers)
        if not self._state.takes(
            "transfer_to",
            when=self._state.state == "CONNECTED",
            number=to,
            **({} if call is None else {"call": call.id()}),
        ):
            return
        self._made += 1
        if self._made > MOST_TRANSFERS:
            raise LimitExceeded(f"transfer_to: at most {MOST_TRANSFERS} transfers of one call")
        self._state.leg.transfers.ask(to.strip(), target, headers)


def _leg_of(call: Any, ours: Call) -> Leg | None:
    if call is None:
        return None
    leg: Leg | None = getattr(call, "_leg", None)
    if leg is None or call is ours:
        raise ScenarioError(
            f"transfer_to: call is another call, the one that the far end shall join, not {call!r}"
        )
    return leg
