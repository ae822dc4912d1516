"""Calls to hosts that run already, on all of them at once, measured from outside and by themselves.

A host is called as the world calls it: by a media stream with Twilio's protocol, or by SIP. What it
says of itself is at its ``/metrics``. Where its scenario sends the caller's voice back, as
scenarios/echo.py does, the time stamps in it tell how long that takes; where an agent speaks, a SIP
call still tells by its packets' own clock how late each comes.
"""

from __future__ import annotations

import math
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx
from prometheus_client.parser import text_string_to_metric_families

from voxpy.errors import ConfigError, ConnectFailed, RemoteProtocolError
from voxpy.lab.bench.capacity import (
    ANSWERED_S,
    HOPELESS_LATE_MS,
    SETTLE_S,
    STREAMS,
    Spread,
    Window,
    dial,
    hang_up,
    lateness,
)
from voxpy.lab.bench.framing import FRAME_S
from voxpy.lab.bench.pacing import now, pause
from voxpy.lab.bench.processes import Part
from voxpy.wire.sip.values import parse_uri

METRICS_PORT = 8080
MOST_CALLS = 1_000_000
"""Between the numbers of the calls of one host and the next."""
Figures = dict[str, float]


@attrs.frozen(kw_only=True)
class Target:
    """Where to call. ``order`` is what a load generator is told; ``module`` is which generator."""

    name: str
    module: str
    host: str
    metrics: str
    order: dict[str, Any]


def read_target(
    address: str,
    *,
    metrics: str = "",
    to: str = "",
    user: str = "",
    password: str = "",
    headers: Callable[[str], Iterable[tuple[str, str]]] = lambda url: (),
) -> Target:
    """Read an address: ``http(s)://``, ``ws(s)://`` or ``sip:``. Raises ConfigError.

    ``metrics`` is the URL of the host's own figures, where that is not usual. ``headers(url)``
    prove that we are the provider; ``user`` and ``password`` are a SIP phone's.
    """
    if address.startswith("sip:"):
        try:
            uri = parse_uri(address)
        except RemoteProtocolError as error:
            raise ConfigError(str(error)) from error
        if uri.transport not in ("", "udp"):
            raise ConfigError(f"{address}: calls go by UDP here, not {uri.transport}")
        usual = f"http://{uri.host}:{METRICS_PORT}/metrics"
        return Target(
            name=address,
            module="voxpy.lab.bench.phones",
            host=uri.host,
            metrics=metrics or usual,
            order={
                "uri": address,
                "account": {"username": user or "bench", "password": password},
            },
        )
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ConfigError(f"{address!r} is no address of a host: ws://, http(s):// or sip:NUMBER@")
    tls = parts.scheme in ("https", "wss")
    path = parts.path if parts.path not in ("", "/") else STREAMS
    if not path.endswith("/twilio"):
        raise ConfigError(f"{address}: calls have Twilio's protocol here, and go to {STREAMS}")
    url = f"{'wss' if tls else 'ws'}://{parts.netloc}{path}"
    order: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or (443 if tls else 80),
        "called": parts.netloc,
        "path": path,
        "tls": tls,
        "headers": [list(pair) for pair in headers(url)],
        **({"to": to} if to else {}),
    }
    return Target(
        name=address,
        module="voxpy.lab.bench.callers",
        host=parts.hostname,
        metrics=metrics or f"http{'s' * tls}://{parts.netloc}/metrics",
        order=order,
    )


@attrs.frozen(kw_only=True)
class HostPoint:
    """So many calls on one host, or on all. None where it cannot be known.

    ``calls`` were dialled; ``running`` is what the host says. ``refused`` is by cause as callers
    saw it, ``causes`` the host's own; in ``unheard`` nobody has answered, or said anything.
    ``round_trip`` is from a caller's mouth back to its ear, ``late`` how much later than its call's
    best a frame came, in milliseconds.
    """

    name: str
    calls: int
    running: int | None
    refused: dict[str, int]
    cut_off: int
    unheard: int
    causes: dict[str, int]
    cpu_s_per_call_minute: float | None
    cores: float | None
    round_trip: Spread | None
    late: Spread | None
    clock_late_p99_ms: float | None
    skipped_ticks: int | None
    lost: float | None

    @property
    def is_good(self) -> bool:
        """Whether every call lasted, whole, and less than a frame late."""
        late = self.late.p99 if self.late is not None else (self.clock_late_p99_ms or 0.0)
        lost = self.lost or 0.0
        whole = not (self.refused or self.cut_off or self.unheard) and lost < 0.002
        return whole and late < FRAME_S * 1000


@attrs.frozen(kw_only=True)
class FleetPoint:
    """So many calls on each host. ``spread`` is how unevenly the calls are shared: (most - least)
    over the mean, as the hosts count them; None where one of them does not say."""

    calls: int
    hosts: list[HostPoint]
    together: HostPoint
    spread: float | None
    clean: float
    stolen: float
    harness_late_p99_ms: float

    @property
    def is_good(self) -> bool:
        return self.together.is_good and all(host.is_good for host in self.hosts)


def fleet_capacity(
    targets: Sequence[Target],
    counts: Sequence[int],
    *,
    seconds: int,
    through: Target | None = None,
    told: Callable[[FleetPoint], None],
) -> list[FleetPoint]:
    """Measure ``counts`` calls for each of the hosts, growing; ``told`` gets each point.

    ``through`` is a balancer in front of them that takes all calls. Stops early when calls are
    refused, lost or hopelessly late. Raises ConnectFailed if no host can be reached.
    """
    called = [through] if through is not None else list(targets)
    share = len(targets) if through is not None else 1
    run = secrets.token_hex(4)
    points: list[FleetPoint] = []
    with ExitStack() as stack:
        parts = [stack.enter_context(_generator(t, n)) for n, t in enumerate(called)]
        before = 0
        for calls in sorted(set(counts)):
            figures = [_figures(target) for target in targets]
            for n, (part, target) in enumerate(zip(parts, called, strict=True)):
                numbers = range(before * share, calls * share)
                told_run = {} if "uri" in target.order else {"run": run}
                first = 1 + n * MOST_CALLS
                dial(part, [first + k for k in numbers], **target.order, **told_run)
            before = calls
            points.append(_measure(targets, figures, parts, calls, share, seconds))
            told(points[-1])
            if not points[-1].is_good and _is_hopeless(points[-1]):
                break
        for n, part in enumerate(parts):
            hang_up(part, [1 + n * MOST_CALLS + k for k in range(before * share)])
    return points


def _is_hopeless(point: FleetPoint) -> bool:
    all_ = point.together
    late = all_.late is not None and all_.late.p50 > HOPELESS_LATE_MS
    return late or bool(all_.refused or all_.cut_off or all_.unheard)


def _generator(target: Target, number: int) -> Part:
    arguments = (_ours(target),) if target.module.endswith("phones") else ()
    return Part(target.module, *arguments, cores=[-1 - number])


def _ours(target: Target) -> str:
    """Return the address of this machine on the way to a host."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target.host, 5060))  # nothing is sent
            return str(probe.getsockname()[0])
    except OSError as error:
        raise ConnectFailed(f"no way to {target.host}: {error.strerror or error}") from error


def _measure(
    targets: Sequence[Target],
    dialled: Sequence[Figures | None],
    parts: Sequence[Part],
    calls: int,
    share: int,
    seconds: int,
) -> FleetPoint:
    _wait_answered(parts, calls * share)
    for part in parts:
        part.order("begin")
    before = [_figures(target) for target in targets]
    began_s = now()
    window = Window(None, seconds)
    after = [_figures(target) for target in targets]
    took_s = now() - began_s
    reports = [part.order("report") for part in parts]
    window.judge([row for report in reports for row in report["late"]])
    heard = [_heard(report, window) for report in reports]
    own = [_own(*three, took_s) for three in zip(dialled, before, after, strict=True)]
    together = _join(f"{len(targets)} together", calls * len(targets), heard, own)
    one_each = [[h] for h in heard] if len(heard) == len(targets) and share == 1 else None
    hosts = [
        _join(t.name, calls, one_each[n] if one_each else [], [own[n]])
        for n, t in enumerate(targets)
    ]
    known = [host.running for host in hosts if host.running is not None]
    even = None
    if len(known) == len(hosts) and any(known):
        even = (max(known) - min(known)) / (sum(known) / len(known))
    return FleetPoint(
        calls=calls,
        hosts=hosts,
        together=together,
        spread=even,
        clean=window.clean_share,
        stolen=window.stolen,
        harness_late_p99_ms=window.harness_late.p99,
    )


def _wait_answered(parts: Sequence[Part], calls: int) -> None:
    """Wait until every call was answered or refused."""
    deadline_s = now() + ANSWERED_S
    while now() < deadline_s and any(part.order("settled") < calls for part in parts):
        pause(0.1)
    pause(SETTLE_S)


@attrs.frozen
class _Heard:
    """What the callers of one load generator have noticed."""

    trips: list[float]
    late: list[float]
    expected: int
    received: int
    refused: dict[str, int]
    cut_off: int
    unheard: int


def _heard(report: dict[str, Any], window: Window) -> _Heard:
    trips, late = lateness(report["delays"], window.holds)
    expected, received = report["sequence"]
    if "transits" in report:
        _, late = lateness(report["transits"], window.holds)
    ends = (dict(report["refused"]), report["cut_off"], report["unheard"])
    return _Heard(trips, late, expected, received, *ends)


@attrs.frozen
class _Own:
    """What a host says of itself."""

    running: int
    cpu_share: float
    late_p99_s: float
    skipped: int
    causes: dict[str, int]


def _own(
    dialled: Figures | None, before: Figures | None, after: Figures | None, took_s: float
) -> _Own | None:
    """Make of a host's figures before the calls, before and after the window what it says."""
    if dialled is None or before is None or after is None:
        return None

    def grown(name: str) -> float:
        return sum(v - before.get(k, 0.0) for k, v in after.items() if k.startswith(name))

    refused = "voxpy_calls_refused_total"
    causes = {
        key.partition("=")[2]: round(value - dialled.get(key, 0.0))
        for key, value in after.items()
        if key.startswith(refused) and value > dialled.get(key, 0.0)
    }
    late = "voxpy_media_late_seconds"
    return _Own(
        running=round(after.get("voxpy_calls_running", 0.0)),
        cpu_share=grown("voxpy_cpu_seconds_total") / took_s,
        late_p99_s=max((v for k, v in after.items() if k.startswith(late)), default=0.0),
        skipped=round(grown("voxpy_media_ticks_skipped_total")),
        causes=causes,
    )


def _join(name: str, calls: int, heard: Sequence[_Heard], own: Sequence[_Own | None]) -> HostPoint:
    """Make one row of what was heard and of what hosts say; one that says nothing leaves a gap."""
    said = [each for each in own if each is not None]
    whole = len(said) == len(own)
    running: int | None = sum(each.running for each in said) if whole else None
    cores = sum(each.cpu_share for each in said) if whole else None
    trips = [s for each in heard for s in each.trips]
    late = [s for each in heard for s in each.late]
    expected = sum(each.expected for each in heard)
    refused: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for each in heard:
        refused.update(each.refused)
    for one in said:
        causes.update(one.causes)
    return HostPoint(
        name=name,
        calls=calls,
        running=running,
        refused=dict(refused),
        cut_off=sum(each.cut_off for each in heard),
        unheard=sum(each.unheard for each in heard),
        causes=dict(causes),
        cpu_s_per_call_minute=60 * cores / running if cores is not None and running else None,
        cores=cores,
        round_trip=Spread.of(trips) if trips else None,
        late=Spread.of(late) if late else None,
        clock_late_p99_ms=max((o.late_p99_s for o in said), default=math.nan) * 1000
        if said
        else None,
        skipped_ticks=sum(o.skipped for o in said) if said else None,
        lost=max(0.0, 1 - sum(e.received for e in heard) / expected) if expected else None,
    )


def _figures(target: Target) -> Figures | None:
    """Return a host's metrics by ``name=label``; None if it shows none to us."""
    try:
        answer = httpx.get(target.metrics, trust_env=False, timeout=5)
        answer.raise_for_status()
        families = list(text_string_to_metric_families(answer.text))
    except (httpx.HTTPError, ValueError):
        return None
    found: Figures = {}
    for family in families:
        for sample in family.samples:
            labels = sample.labels
            if labels.get("quantile", "0.99") == "0.99":
                key = labels.get("cause") or labels.get("worker") or ""
                found[f"{sample.name}={key}"] = sample.value
    return {key.removesuffix("="): value for key, value in found.items()}
