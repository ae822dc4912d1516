"""Who gets a call that has come in: a rule's session, or an answer that says why not."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from functools import partial

import attrs
import trio

from voxpy.channels.hunting import HuntingLeg
from voxpy.channels.listener import Asker, Routed
from voxpy.channels.outgoing import HostDialer, Trunk
from voxpy.channels.pair import CHANNEL, joined_legs
from voxpy.channels.providers.http import Outcome, same
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import CallListTask, Leg, OutgoingCall, RefusedLeg
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.errors import nearest
from voxpy.fleet.membership import Fleet, Member
from voxpy.fleet.port import StoreAway
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
MOST_TRIES = 4
"""To reach the home of a conference: one may have just died, or its conference have just ended."""
AGAIN_S = 0.25


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
    come into the same session as further incoming calls, for as long as it lasts. It lives in one
    process, its home, which is whoever claims the name first among all workers of all hosts. A call
    that another process makes to it goes there by SIP, as one of ours. The home dies, and its claim
    ends with it: the next call makes a new one.

    ``alone`` says that there is no other process to have a conference. Implements
    ``voxpy.channels.outgoing.Way`` and ``voxpy.channels.listener.Meetings``.
    """

    def __init__(
        self, router: CallRouter, outgoing: HostDialer, fleet: Fleet, *, alone: bool
    ) -> None:
        self._router = router
        self._outgoing = outgoing
        self._fleet = fleet
        self._alone = alone
        self._running: dict[str, HostedSession] = {}
        self._ours: set[str] = set()
        """The names that we have claimed."""

    def dial(self, call: OutgoingCall) -> Leg:
        """Call a conference."""
        if self._alone or self._here(call.destination) is not None:
            return self._enter(call)
        tries = itertools.count(1)

        def seek(leg: HuntingLeg) -> None:
            self._router.spawn(self._seek, leg, call, next(tries))

        return HuntingLeg(call, at_once=False, seek=seek)

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        """Refuse: a conference is no number."""
        return RefusedLeg(call, UNAVAILABLE, "a conference is no number")

    async def is_home(self, name: str) -> bool:
        """Return whether a conference is here, or may begin here: its name is ours now."""
        if self._alone or name in self._ours:
            return True
        # Another word each time: a claim that we are giving back must not become ours again.
        value = f"{self._fleet.member_id} {secrets.token_hex(8)}"
        try:
            if await self._fleet.claim(_key(name), value, lost=partial(self._lost, name)) is None:
                return False
        except StoreAway:
            pass  # it is ours as far as anybody knows here
        self._ours.add(name)
        return True

    def meet(self, name: str, make: Callable[[str], Leg]) -> None:
        """Let one more call into a conference that is at home here; ``make`` gets the call's id."""
        hosted = self._here(name)
        if hosted is not None:
            hosted.alert(make(hosted.next_call_id()))
            return
        hosted = self._router.confer(make(FIRST_CALL), name, CHANNEL)
        if hosted is None:
            self._give_up(name)
            return
        self._running[name] = hosted
        if not self._alone:
            self._router.spawn(self._keep, name, hosted)

    def drop(self, name: str) -> None:
        """Give a name back if no conference has begun under it: the call was given up meanwhile."""
        if name not in self._running:
            self._give_up(name)

    # -- inside ------------------------------------------------------------------------------------

    def _here(self, name: str) -> HostedSession | None:
        hosted = self._running.get(name)
        return hosted if hosted is not None and hosted.session.ended is None else None

    def _enter(self, call: OutgoingCall) -> Leg:
        ours: list[Leg] = []

        def make(call_id: str) -> Leg:
            mine, theirs = joined_legs(call, call_id)
            ours.append(mine)
            return theirs

        self.meet(call.destination, make)
        return ours[0]

    async def _seek(self, leg: HuntingLeg, call: OutgoingCall, tried: int) -> None:
        """Find the home of a conference, and go there."""
        way: Callable[[], Leg] = partial(RefusedLeg, call, UNAVAILABLE, "its home is not reached")
        with contained(partial(self._failed, leg, call)):
            if tried > 1:
                await trio.sleep(AGAIN_S)
            if tried <= MOST_TRIES:
                way = await self._way(call, way)
            leg.go([way])
            self.drop(call.destination)

    async def _way(self, call: OutgoingCall, otherwise: Callable[[], Leg]) -> Callable[[], Leg]:
        name = call.destination
        while not await self.is_home(name):
            try:
                entry = await self._fleet.store.get(_key(name))
            except StoreAway:
                return otherwise
            member_id = "" if entry is None else entry.value.partition(" ")[0]
            if member_id and member_id != self._fleet.member_id:
                member = await self._fleet.member(member_id)
                return otherwise if member is None else partial(self._there, call, member)
            await trio.sleep(AGAIN_S)  # it has just ended, there or here
        return partial(self._enter, call)

    def _there(self, call: OutgoingCall, home: Member) -> Leg:
        across = self._outgoing.across
        if across is None or not home.sip:
            reason = f"conference {call.destination!r} is in another process; calls between them "
            return RefusedLeg(call, UNAVAILABLE, reason + "go by SIP: channels: {sip: ...}")
        return across.dial_conference(home, call)

    async def _keep(self, name: str, hosted: HostedSession) -> None:
        """Give the name back when the conference is over."""
        await hosted.over.wait()
        if self._running.get(name) is hosted:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        self._running.pop(name, None)
        if name in self._ours:
            self._ours.discard(name)
            self._fleet.untell(_key(name))

    def _lost(self, name: str) -> None:
        """Let new calls go to the new home: what hosts share was away for too long."""
        self._running.pop(name, None)
        self._ours.discard(name)

    def _failed(self, leg: HuntingLeg, call: OutgoingCall, error: BaseException) -> None:
        leg.go([partial(RefusedLeg, call, UNAVAILABLE, explain(error).message)])


def _key(name: str) -> str:
    return f"conferences/{name}"
