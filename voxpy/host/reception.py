"""Who gets a call that has come in: a rule's session, or an answer that says why not."""

from __future__ import annotations

import secrets
from functools import partial

import attrs

from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import Runs
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.faults import contained, explain
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.host.admission import Admission, Busy, Refusal
from voxpy.host.metrics import Metrics
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.project.channels import Channel
from voxpy.project.project import ProjectFiles
from voxpy.project.routing import Match, NoMatch

__all__ = ["NOT_FOUND", "Reception"]

NOT_FOUND = 404
SIP_CODES = {Busy.FULL: 486, Busy.LATE: 486, Busy.DRAINING: 503}


class Reception:
    """Routes calls and knows the sessions that run. ``context`` is what they share."""

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
        self._files = files
        self._context = context
        self._keeping = keeping
        self._metrics = metrics
        self._log = log

    def judge(self, destination: str, channel: Channel) -> Match | NoMatch | Refusal:
        """Say what would become of a call now, and log and count it if nothing would."""
        refusal = self.admission.refusal()
        if refusal is not None:
            cause = refusal.cause.value
            self._refused(cause, channel, destination, detail=refusal.detail)
            return refusal
        match = self._files.project.routing.match(destination)
        if isinstance(match, NoMatch):
            self._refused("not_found", channel, destination, tried=[str(t) for t in match.tried])
        return match

    def receive(self, leg: MediaStreamLeg, channel: Channel) -> Runs:
        """Return what runs the call. Raises OSError if a session's folder cannot be made."""
        leg.destination = leg.destination or channel.to
        verdict = self.judge(leg.destination, channel)
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

    def not_proven(self, channel: Channel, problem: str) -> None:
        """Log and count a webhook that did not come from the provider."""
        self._metrics.add("voxpy_calls_refused", "not_proven")
        self._log.warning("webhook refused", channel=channel.name, problem=problem)

    def end_all(self, detail: str) -> None:
        """End every session in order: its scenario gets Terminating, its legs say goodbye."""
        for hosted in tuple(self.running.values()):
            hosted.session.end(EndReason.HOST_SHUTDOWN, detail)

    async def run(self, hosted: HostedSession, channel: Channel) -> None:
        """Run one session to its end, counted and logged. An error of it ends only that call."""
        session_id, began_at = hosted.context.session_id, clock.now()
        self.running[session_id] = hosted
        self._metrics.add("voxpy_calls", channel.provider.name)
        self._log.step(
            "call began",
            session=session_id,
            rule=hosted.context.rule_name,
            channel=channel.name,
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
        write = partial(self._log.write, "error" if reason.is_error else "step", "call ended")
        detail = {"detail": end.detail} if end is not None and end.detail else {}
        session = hosted.context.session_id
        write(session=session, reason=reason.value, seconds=round(took_s, 1), **detail)

    def _failed(self, session_id: str, error: BaseException) -> None:
        self._log.write("error", "session failed", session=session_id, error=explain(error).message)

    def _refused(self, cause: str, channel: Channel, destination: str, **fields: object) -> None:
        self._metrics.add("voxpy_calls_refused", cause)
        self._log.warning(
            "call refused", cause=cause, channel=channel.name, destination=destination, **fields
        )


@attrs.frozen
class _Call:
    """A call that has its session."""

    hosted: HostedSession
    channel: Channel
    reception: Reception

    async def run(self) -> None:
        await self.reception.run(self.hosted, self.channel)


@attrs.frozen
class _Refused:
    """A call that gets none: the provider is told in its way, and the stream is closed."""

    leg: MediaStreamLeg
    code: int

    async def run(self) -> None:
        self.leg.reject(self.code, {})
        await self.leg.aclose()
