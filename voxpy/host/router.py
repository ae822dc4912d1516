"""Who gets a call that has come in: a rule's session, or an answer that says why not."""

from __future__ import annotations

import secrets
from functools import partial

import attrs

from voxpy.channels.listener import Runs
from voxpy.channels.providers.http import Outcome
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import Leg
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.host.admission import Admission, Busy, Refusal
from voxpy.host.metrics import Metrics
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.project.project import ProjectFiles
from voxpy.project.routing import Match, NoMatch

NOT_FOUND = 404
SIP_CODES = {Busy.FULL: 486, Busy.LATE: 486, Busy.DRAINING: 503}


class CallRouter:
    """Implements ``voxpy.channels.listener.CallRouter``; knows the sessions that run.

    ``context`` is what they share.
    """

    def __init__(
        self,
        *,
        files: ProjectFiles,
        context: SessionContext,
        keeping: Keeping,
        admission: Admission,
        metrics: Metrics,
        log: Trace,
    ) -> None:
        self.running: dict[str, HostedSession] = {}
        self.admission = admission
        self.unkept = ""
        """What of the last call that ended could not be kept; empty once one is kept whole."""
        self._files = files
        self._context = context
        self._keeping = keeping
        self._metrics = metrics
        self._log = log

    def refusal(self, channel: str) -> str:
        """Return why no call at all is taken now, or nothing; log and count it."""
        refusal = self.admission.refusal()
        if refusal is None:
            return ""
        self._refused(refusal.cause.value, channel, detail=refusal.detail)
        return refusal.detail

    def judge(self, destination: str, channel: str) -> Outcome:
        """Say what would become of a call now; log and count it if nothing would."""
        verdict = self._verdict(destination, channel)
        if isinstance(verdict, Refusal):
            return "busy"
        return "not found" if isinstance(verdict, NoMatch) else "connect"

    def _verdict(self, destination: str, channel: str) -> Match | NoMatch | Refusal:
        refusal = self.admission.refusal()
        if refusal is not None:
            cause = refusal.cause.value
            self._refused(cause, channel, destination=destination, detail=refusal.detail)
            return refusal
        match = self._files.project.routing.match(destination)
        if isinstance(match, NoMatch):
            tried = [str(t) for t in match.tried]
            self._refused("not_found", channel, destination=destination, tried=tried)
        return match

    def receive(self, leg: Leg, channel: str) -> Runs:
        """Return what runs the call. Raises OSError if a session's folder cannot be made."""
        verdict = self._verdict(leg.destination, channel)
        if isinstance(verdict, Refusal):
            return _Refused(leg, SIP_CODES[verdict.cause])
        if isinstance(verdict, NoMatch):
            return _Refused(leg, NOT_FOUND)
        rule = verdict.rule
        context = attrs.evolve(
            self._context,
            session_id=f"{clock.wall():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            rule_name=rule.name,
            program=self._files.project.programs[rule.name],
            settings=rule.settings,
        )
        return _Call(HostedSession(context, leg, self._keeping), channel, self)

    def not_proven(self, channel: str, problem: str) -> None:
        """Log and count a webhook that did not come from the provider."""
        self._metrics.add("voxpy_calls_refused", "not_proven")
        self._log.warning("webhook refused", channel=channel, problem=problem)

    def end_all(self, detail: str) -> None:
        """End every session in order: its scenario gets Terminating, its legs say goodbye."""
        for hosted in tuple(self.running.values()):
            hosted.session.end(EndReason.HOST_SHUTDOWN, detail)

    async def run(self, hosted: HostedSession, channel: str) -> None:
        """Run one session to its end, counted and logged. An error of it ends only that call."""
        session_id, began_at = hosted.context.session_id, clock.now()
        self.running[session_id] = hosted
        self._metrics.add("voxpy_calls", hosted.leg.channel)
        self._log.step(
            "call began",
            session=session_id,
            rule=hosted.context.rule_name,
            channel=channel,
            callerid=hosted.leg.callerid,
            destination=hosted.leg.destination,
        )
        try:
            with self.admission.call(), contained(partial(self._failed, session_id)):
                await hosted.run()
        finally:
            del self.running[session_id]
            self._ended(hosted, clock.now() - began_at)

    def _ended(self, hosted: HostedSession, took_s: float) -> None:
        end = hosted.session.ended
        reason = end.reason if end is not None else EndReason.INTERNAL_ERROR
        self._metrics.add("voxpy_calls_ended", reason.value)
        self._metrics.add("voxpy_call_seconds", amount=took_s)
        lost = list(dict.fromkeys(hosted.lost))
        if lost:
            self._metrics.add("voxpy_calls_not_kept")
            self._log.warning(
                "not all of a call is kept", session=hosted.context.session_id, lost=lost
            )
        self.unkept = "; ".join(lost)
        self._metrics.add("voxpy_agent_failures", amount=hosted.record.agent_failures)
        for call in hosted.record.calls:
            for kind, number in call.get("counts", {}).items():
                self._metrics.add("voxpy_call_troubles", kind, amount=number)
        write = partial(self._log.write, "error" if reason.is_error else "step", "call ended")
        detail = {"detail": end.detail} if end is not None and end.detail else {}
        session = hosted.context.session_id
        write(session=session, reason=reason.value, seconds=round(took_s, 1), **detail)

    def _failed(self, session_id: str, error: BaseException) -> None:
        self._log.write("error", "session failed", session=session_id, error=explain(error).message)

    def _refused(self, cause: str, channel: str, **fields: object) -> None:
        self._metrics.add("voxpy_calls_refused", cause)
        self._log.warning("call refused", cause=cause, channel=channel, **fields)


@attrs.frozen
class _Call:
    """A call that has its session."""

    hosted: HostedSession
    channel: str
    router: CallRouter

    async def run(self) -> None:
        await self.router.run(self.hosted, self.channel)


@attrs.frozen
class _Refused:
    """A call that gets none: the far end is told in its channel's way, and the leg is closed."""

    leg: Leg
    code: int

    async def run(self) -> None:
        self.leg.bind(lambda event: None)
        self.leg.reject(self.code, {})
        await self.leg.aclose()
