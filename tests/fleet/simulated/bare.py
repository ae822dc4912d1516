"""A session without scenario, trace, record and history: what the rest of a host sees of it.

A whole one costs ten times what everything else about a call does. Where a million calls are made
for what happens between hosts, most of them have this.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.ending import End, EndReason
from voxpy.engine.ports import Leg, LegEnded, LegEvent, OutgoingCall
from voxpy.engine.session import SessionContext
from voxpy.history.record import CallRecord
from voxpy.host.sessions import HostedSession


class BareSession:
    """Answers the call that comes in, or calls the row of the list that it was started for."""

    def __init__(self, context: SessionContext, leg: Leg | None) -> None:
        self.context, self.leg = context, leg
        self.lost: list[str] = []
        self.record = CallRecord(
            session_id=context.session_id,
            rule_name=context.rule_name,
            scenarios=[],
            started_at=clock.wall().isoformat(),
            channel="api" if leg is None else leg.channel,
        )
        self.record.personal.update(
            callerid="", destination="" if leg is None else leg.destination, custom_data=""
        )
        self.session: Any = SimpleNamespace(
            ended=None, end=self.end, troubles=SimpleNamespace(abandoned=0)
        )
        self.over = trio.Event()
        self._ended = trio.Event()

    def end(self, reason: EndReason, detail: str = "") -> None:
        """End it, once."""
        if self.session.ended is None:
            self.session.ended = End(reason, detail)
            self._ended.set()

    async def run(self) -> None:
        """Have the call to its end."""
        leg = self.leg
        try:
            if leg is None:
                leg = self._dial()
            else:
                leg.bind(self._take)
                leg.answer({})
            await self._ended.wait()
            await leg.aclose()
            task = self.context.call_list
            if task is not None and self.session.ended.reason is EndReason.TERMINATED:
                await task.report("error" if self.record.calls else "result", {"n": 1})
        finally:
            self.end(EndReason.INTERNAL_ERROR)
            self.record.end_reason = self.session.ended.reason.value
            self.over.set()

    def _dial(self) -> Leg:
        destination = orjson.loads(self.context.custom_data)["to"]
        call = OutgoingCall(leg_id="call-1", kind="sip", destination=destination, callerid="1")
        leg = self.context.dialer.dial(call)
        leg.bind(self._take)
        return leg

    def _take(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            if event.code != 200:
                self.record.calls.append({"end_reason": {"code": event.code}})
            self.end(EndReason.TERMINATED)


def bare(context: SessionContext, leg: Leg | None) -> HostedSession:
    """Return a bare session in place of a whole one."""
    return cast("HostedSession", BareSession(context, leg))
