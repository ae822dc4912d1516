"""Who gets a call that has come in: a rule's session, or an answer that says why not."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

import attrs

from voxpy.channels.listener import Asker, Routed
from voxpy.channels.outgoing import Trunk
from voxpy.channels.pair import CHANNEL, joined_legs
from voxpy.channels.providers.http import Outcome, same
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import (
    CallListTask,
    Leg,
    OutgoingCall,
    RefusedLeg,
)
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.errors import nearest
from voxpy.fleet.membership import Fleet
from voxpy.host.admission import Admission, Busy, Refusal
from voxpy.host.metrics import Metrics
from voxpy.host.sessions import STARTED, HostedSession, Keeping
from voxpy.project.project import ProjectFiles
from voxpy.project.routing import Match, NoMatch, Rule

NOT_FOUND = 404
REQUESTS = "/request"
"""Where the access URLs of all sessions are."""
TOKEN_BYTES = 24
"""192 bits."""
BUSY_HERE, UNAVAILABLE = 486, 503
FIRST_CALL = "call-1"


class CannotStart(Exception):
    """A session that was asked for and does not begin; ``status`` is HTTP's."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem)


def _not_running(*_: object) -> None:
    raise RuntimeError("the host does not run yet")


class CallRouter:
    """Implements ``voxpy.channels.listener.CallRouter``; knows the sessions that run.

    ``context`` is what they share, ``fleet`` what hosts do. ``worker`` is which of its like this
    process is, and stands in the id of each session, with the mark of its host where there are
    others: whoever asks for a session finds its process by that.
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
        fleet: Fleet,
        worker: int = 0,
        began: Callable[[HostedSession], None] = lambda _: None,
        ended: Callable[[HostedSession], None] = lambda _: None,
    ) -> None:
        self.running: dict[str, HostedSession] = {}
        self.base = ""
        """How the host is called: ``https://host``; access URLs begin so."""
        self.spawn: Callable[..., None] = _not_running
        """Runs what outlives the request that started it; set while the host runs."""
        self.admission = admission
        self.unkept = ""
        """What of the last call that ended could not be kept; empty once one is kept whole."""
        self._files = files
        self._context = context
        self._keeping = keeping
        self._metrics = metrics
        self._log = log
        self._fleet = fleet
        self._place = f"{fleet.mark}-{worker:02x}" if fleet.mark else f"{worker:02x}"
        self._told_began, self._told_ended = began, ended

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
        rule = match.rule
        if rule.most_calls and not self._fleet.counts.has_room(_name_of(rule), rule.most_calls):
            return self._full(rule, channel, destination=destination)
        return match

    def _full(self, rule: Rule, channel: str, **fields: object) -> Refusal:
        full = f"rule {rule.name!r} has its {rule.most_calls} calls"
        self._refused(Busy.LIMIT.value, channel, detail=full, **fields)
        return Refusal(Busy.LIMIT, full)

    async def run_limited(self, rule: Rule, leg: Leg, channel: str, session_id: str) -> None:
        """Run a call of a rule that has only so many, if there is room."""
        full = await self._take(rule, channel)
        if full is not None:
            await _Refused(leg, _refusing(full, channel)).run()
        else:
            hosted = self._session(rule, leg, session_id=session_id)
            await self._run_of(rule, hosted, channel)

    async def _take(self, rule: Rule, channel: str) -> Refusal | None:
        """Take one of the calls that a rule may have at once; or say why not, log and count it."""
        most = rule.most_calls
        if most is None or await self._fleet.counts.occupy(_name_of(rule), most):
            return None
        return self._full(rule, channel)

    def _give_back(self, rule: Rule) -> None:
        """Let another call have the place of one that is over."""
        if rule.most_calls is not None:
            self._fleet.counts.free(_name_of(rule))

    def receive(self, leg: Leg, channel: str, asker: Asker | None = None) -> Routed:
        """Return what runs the call. Raises OSError if a session's folder cannot be made."""
        verdict = self._verdict(leg.destination, channel)
        if isinstance(verdict, Refusal):
            return _Refused(leg, _refusing(verdict, channel))
        if isinstance(verdict, NoMatch) or not (asker is None or asker.sees(verdict.rule.name)):
            return _Refused(leg, NOT_FOUND)
        if verdict.rule.most_calls is not None:
            return _Limited(verdict.rule, leg, channel, self, self._new_id())
        return _Call(self._session(verdict.rule, leg), channel, self)

    def confer(self, leg: Leg, name: str, channel: str) -> HostedSession | None:
        """Begin the session of a conference with its first call; None if the call is refused."""
        verdict = self._verdict(name, channel)
        if isinstance(verdict, Match):
            rule = verdict.rule
            hosted = self._session(rule, leg, conference=name)
            if rule.most_calls is not None:  # what could not be asked for now is told
                self._fleet.counts.note(_name_of(rule))
            self.spawn(self._run_of, rule, hosted, channel)
            return hosted
        code = UNAVAILABLE if isinstance(verdict, Refusal) else NOT_FOUND
        self.spawn(_Refused(leg, code).run)
        return None

    def _new_id(self) -> str:
        return f"{clock.wall():%Y%m%d-%H%M%S}-{self._place}{secrets.token_hex(4)}"

    def _session(
        self,
        rule: Rule,
        leg: Leg | None,
        *,
        session_id: str = "",
        conference: str = "",
        custom_data: str = "",
        base: str = "",
        call_list: CallListTask | None = None,
    ) -> HostedSession:
        base = base or self.base
        session_id = session_id or self._new_id()
        token = secrets.token_urlsafe(TOKEN_BYTES)
        context = attrs.evolve(
            self._context,
            session_id=session_id,
            rule_name=rule.name,
            program=self._files.project.programs[rule.name],
            settings=rule.settings,
            custom_data=custom_data,
            conference=conference,
            call_list=call_list,
            access_url=f"{base}{REQUESTS}/{session_id}/{token}" if base else "",
            log_url=f"{base}/api/sessions/{session_id}/log" if base else "",
        )
        return HostedSession(context, leg, self._keeping)

    async def start(
        self,
        rule_name: str,
        *,
        custom_data: str = "",
        base: str = "",
        call_list: CallListTask | None = None,
    ) -> HostedSession:
        """Begin a session without a call; it runs by itself from now on.

        ``base`` is how whoever asks has called this host. Raises CannotStart.
        """
        refusal = self.admission.refusal()
        if refusal is not None:
            self._refused(refusal.cause.value, STARTED, rule=rule_name, detail=refusal.detail)
            raise CannotStart(503, refusal.detail)
        rules = {rule.name: rule for rule in self._files.project.routing.rules}
        if rule_name not in rules:
            raise CannotStart(404, f"there is no rule {rule_name!r}{nearest(rule_name, rules)}")
        rule = rules[rule_name]
        limit = rule.settings.limits.custom_data_bytes
        if (size := len(custom_data.encode())) > limit:
            raise CannotStart(413, f"custom data holds {limit} bytes, not {size}")
        if (full := await self._take(rule, STARTED)) is not None:
            raise CannotStart(503, full.detail)
        try:
            hosted = self._session(
                rule, None, custom_data=custom_data, base=base, call_list=call_list
            )
        except OSError as error:
            self._give_back(rule)
            raise CannotStart(500, f"no folder for the session: {error.strerror}") from error
        self.running[hosted.context.session_id] = hosted  # its access URL counts at once
        self.spawn(self._run_of, rule, hosted, STARTED)
        return hosted

    def find(self, session_id: str, token: str) -> HostedSession | None:
        """Return the running session that an access URL is of."""
        hosted = self.running.get(session_id)
        if hosted is None or hosted.session.ended is not None:
            return None
        return hosted if same(token, hosted.context.access_url.rpartition("/")[2]) else None

    def not_proven(self, channel: str, problem: str) -> None:
        """Log and count a webhook that did not come from the provider."""
        self._metrics.add("voxpy_calls_refused", "not_proven")
        self._log.warning("webhook refused", channel=channel, problem=problem)

    def end_all(self, detail: str) -> None:
        """End every session in order: its scenario gets Terminating, its legs say goodbye."""
        for hosted in tuple(self.running.values()):
            hosted.session.end(EndReason.HOST_SHUTDOWN, detail)

    async def _run_of(self, rule: Rule, hosted: HostedSession, channel: str) -> None:
        """Run one session, and then give back its place among those of its rule."""
        try:
            await self.run(hosted, channel)
        finally:
            self._give_back(rule)

    async def run(self, hosted: HostedSession, channel: str) -> None:
        """Run one session to its end, counted and logged. An error of it ends only that call."""
        session_id, began_at = hosted.context.session_id, clock.now()
        self.running[session_id] = hosted
        self._told_began(hosted)
        record = hosted.record
        self._metrics.add("voxpy_calls", record.channel)
        self._log.step(
            "call began",
            session=session_id,
            rule=hosted.context.rule_name,
            channel=channel,
            callerid=record.personal["callerid"],
            destination=record.personal["destination"],
        )
        try:
            with self.admission.call(), contained(partial(self._failed, session_id)):
                await hosted.run()
        finally:
            del self.running[session_id]
            self._ended(hosted, clock.now() - began_at)
            self._told_ended(hosted)

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
        if abandoned := hosted.session.troubles.abandoned:
            self._metrics.add("voxpy_call_troubles", "abandoned_handlers", amount=abandoned)
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

    @property
    def session_id(self) -> str:
        return self.hosted.context.session_id

    async def run(self) -> None:
        await self.router.run(self.hosted, self.channel)


@attrs.frozen
class _Limited:
    """A call of a rule that has only so many: it has its session if there is room."""

    rule: Rule
    leg: Leg
    channel: str
    router: CallRouter
    session_id: str

    async def run(self) -> None:
        await self.router.run_limited(self.rule, self.leg, self.channel, self.session_id)


def _name_of(rule: Rule) -> str:
    return f"calls/rule/{rule.name}"


def _refusing(refusal: Refusal, channel: str) -> int:
    """Return the status for a call that finds no room.

    Who calls by SIP may have other hosts to try, and does at 503; a provider has none, and lets its
    caller hear that the line is busy. A limit is that of all hosts.
    """
    elsewhere = channel == "sip" and refusal.cause is not Busy.LIMIT
    return UNAVAILABLE if elsewhere or refusal.cause is Busy.DRAINING else BUSY_HERE


@attrs.frozen
class _Refused:
    """A call that gets none: the far end is told in its channel's way, and the leg is closed."""

    leg: Leg
    code: int
    session_id: str = ""

    async def run(self) -> None:
        self.leg.bind(lambda event: None)
        self.leg.reject(self.code, {})
        await self.leg.aclose()


class Conferences:
    """Sessions that are called by the name of a conference (VoxEngine: callConference).

    The first call to a name makes the session, of the rule whose pattern takes the name; later ones
    come into the same session as further incoming calls, for as long as it lasts. Implements
    ``voxpy.channels.outgoing.Way`` for the sessions of one process.
    """

    def __init__(self, router: CallRouter) -> None:
        self._router = router
        self._running: dict[str, HostedSession] = {}

    def dial(self, call: OutgoingCall) -> Leg:
        """Call a conference."""
        name = call.destination
        hosted = self._running.get(name)
        if hosted is not None and hosted.session.ended is None:
            ours, theirs = joined_legs(call, hosted.next_call_id())
            hosted.alert(theirs)
            return ours
        ours, theirs = joined_legs(call, FIRST_CALL)
        hosted = self._router.confer(theirs, name, CHANNEL)
        if hosted is None:
            self._running.pop(name, None)
        else:
            self._running[name] = hosted
        return ours

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        """Refuse: a conference is no number."""
        return RefusedLeg(call, UNAVAILABLE, "a conference is no number")
