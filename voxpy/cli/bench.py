"""``voxpy bench``: how many calls this machine carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from voxpy.cli.options import password_of, secrets_option

EXIT_FAILED = 1
HEAD = (
    "calls", "CPU s per call-min", "to floor", "cores", "up p50 / p99 ms", "down p50 / p99 ms",
    "late p50 / p99 ms", "clock p99 ms", "MB per call", "clean",
)  # fmt: skip


HOST_HEAD = (
    "calls", "running", "CPU s per call-min", "cores", "round trip p50 / p99 ms",
    "late p50 / p99 ms", "clock p99 ms",
)  # fmt: skip


def _counts(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    words = value.split(",")
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise click.BadParameter(f"{value!r} is not numbers of calls, as in 20,60,100")
    return [int(word) for word in words]


def _addresses(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    words = [word.strip() for word in value.split(",")] if value else []
    if not all(words):
        raise click.BadParameter(f"{value!r} has a place with no address between its commas")
    return words


@click.command()
@click.option(
    "--calls",
    default="20,60,100",
    show_default=True,
    metavar="N,N,...",
    callback=_counts,
    help="How many calls at once, one number after another; with --hosts, on each host.",
)
@click.option(
    "--seconds",
    default=12,
    show_default=True,
    type=click.IntRange(2, 3600),
    help="How long each number of calls is measured.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes of the host, one core each; leave one core for the callers.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("voxpy-bench.svg"),
    show_default=True,
    help="Where the picture goes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the figures, as JSON.")
@click.option(
    "--hosts",
    default="",
    metavar="ADDRESS,...",
    callback=_addresses,
    help="Call hosts that run already, all at once: ws://HOST:PORT (a media stream) or "
    "sip:NUMBER@HOST:PORT.",
)
@click.option(
    "--through",
    default="",
    metavar="ADDRESS",
    help="With --hosts: place all calls at the balancer in front of them.",
)
@click.option(
    "--metrics",
    default="",
    metavar="URL,...",
    callback=_addresses,
    help="With --hosts: where each shows its figures. Default: /metrics of a stream's address, "
    "http://HOST:8080/metrics of a SIP address.",
)
@click.option("--to", default="", help="With --hosts: the number that streams are for.")
@secrets_option("secrets_path", "With --hosts: theirs, so that streams are signed as by Twilio.")
@click.option("--public-url", metavar="URL", help="With --hosts: what they were given as that.")
@click.option("--user", default="", help="With --hosts: the user that SIP phones are.")
@click.option(
    "--password-secret", metavar="NAME", help="With --hosts: the secret with that user's password."
)
def command(**options: Any) -> None:
    """Measure how many calls at once this machine carries, from provider to agent and back.

    It starts `voxpy serve`, simulated callers with Twilio's protocol and a realtime service that
    only speaks, all on 127.0.0.1, and ends them. Needs Linux and a core more than --workers. Exit
    code 1 if even the first number of calls was too much.

    With --hosts it starts callers only, and looks at hosts that run elsewhere: from outside, and by
    their /metrics. Let the number called be answered by scenarios/echo.py: the caller's own voice
    comes back and tells how long that took.
    """
    if options["hosts"]:
        raise SystemExit(_bench_hosts(options))
    given = click.get_current_context().get_parameter_source
    for name in ("through", "metrics", "to", "public_url", "user", "password_secret"):
        if given(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --hosts")
    from rich.console import Console

    from voxpy.engine import clock
    from voxpy.lab.bench.capacity import capacity, floor_cpu_s, machine, most_calls
    from voxpy.lab.bench.picture import lateness_svg

    described = machine(options["workers"])
    console = Console(highlight=False, quiet=options["as_json"])
    console.print(
        f"{described.cpu}, {described.cores} cores, {described.python}, "
        f"{described.workers} worker(s)", soft_wrap=True
    )  # fmt: skip
    if described.cores <= options["workers"]:
        console.print("callers and host share a core here: the figures will be worse than they are")
    floors = {}  # of as many calls each: a call is cheaper where more of them share a wake-up
    for calls in sorted(set(options["calls"])):
        floors[calls] = floor_cpu_s(max(1, calls // options["workers"]), options["seconds"])
    console.print(
        "the floor, bare trio that only passes audio on, CPU s per call-minute: "
        + ", ".join(f"{s:.2f} with {n} calls" for n, s in floors.items()), soft_wrap=True
    )  # fmt: skip
    console.print(" | ".join(HEAD), soft_wrap=True)
    points = capacity(
        options["calls"],
        seconds=options["seconds"],
        workers=options["workers"],
        told=lambda point: console.print(_row(point, floors[point.calls]), soft_wrap=True),
    )
    picture = options["picture"]
    title = "How late a frame reaches the caller, against its call's best (p99)"
    lines = {"voxpy serve, p99": [(p.calls, p.late.p99) for p in points]}
    most = most_calls(points)
    notes = [
        f"{described.cpu}, {described.cores} cores, {described.python}; {clock.wall():%Y-%m-%d}",
        _verdict(points, most),
    ]
    picture.write_text(lateness_svg(lines, title=title, notes=notes), encoding="utf-8")
    if options["as_json"]:
        _print_json(described, points, most, floors)
    else:
        _say(console, points, most, picture)
    raise SystemExit(0 if most else EXIT_FAILED)


def _bench_hosts(options: dict[str, Any]) -> int:
    from rich.console import Console

    from voxpy.engine import clock
    from voxpy.lab.bench.capacity import machine
    from voxpy.lab.bench.hosts import fleet_capacity
    from voxpy.lab.bench.picture import lateness_svg

    if click.get_current_context().get_parameter_source("workers") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--workers is of a host that is started here, not of --hosts")
    targets, through = _targets(options)
    described = machine(0)
    console = Console(highlight=False, quiet=options["as_json"])
    where = f" through {through.name}" if through is not None else ""
    console.print(f"{len(targets)} hosts{where}; callers: {described.cpu}", soft_wrap=True)
    wide = max(len(target.name) for target in targets)
    console.print(f"{'host':{wide}} | " + " | ".join(HOST_HEAD), soft_wrap=True)

    def told(point: Any) -> None:
        for host in [*point.hosts, point.together]:
            console.print(_host_row(host, wide), soft_wrap=True)
        if point.spread is not None and len(targets) > 1:
            console.print(f"{'':{wide}}   shared out within {point.spread:.0%}", soft_wrap=True)

    points = fleet_capacity(
        targets, options["calls"], seconds=options["seconds"], through=through, told=told
    )
    good = [point for point in points if point.is_good]
    most = good[-1].calls if good and points[0].is_good else 0
    late = [(p.together.calls, p.together.late.p99) for p in points if p.together.late is not None]
    if late:
        date = f"{clock.wall():%Y-%m-%d}"
        title = "How late a frame reaches the caller, against its call's best (p99)"
        svg = lateness_svg({f"{len(targets)} hosts": late}, title=title, notes=[date])
        options["picture"].write_text(svg, encoding="utf-8")
    if options["as_json"]:
        _print_hosts_json(points, most)
        return 0 if most else EXIT_FAILED
    if most == points[-1].calls:
        told_most = f"{most} calls on each host went well, the most that were tried"
    elif most:
        told_most = f"{most} calls on each host went well; {points[-1].calls} were too many"
    else:
        told_most = f"{points[0].calls} calls on each host were too many already"
    console.print(told_most)
    if any(point.clean < 0.5 for point in points):
        console.print("this machine was busy, so the delays are worse than they are")
    if late:
        console.print(f"picture: {options['picture']}", soft_wrap=True)
    return 0 if most else EXIT_FAILED


def _targets(options: dict[str, Any]) -> tuple[list[Any], Any]:
    from voxpy.channels.providers.table import find_provider
    from voxpy.cli.call import stream_headers
    from voxpy.errors import ConfigError
    from voxpy.lab.bench.hosts import read_target

    metrics = options["metrics"] or [""] * len(options["hosts"])
    if len(metrics) != len(options["hosts"]):
        raise click.BadParameter(
            f"{len(metrics)} addresses for {len(options['hosts'])} hosts", param_hint="--metrics"
        )

    password = password_of(options)

    def read(address: str, figures: str) -> Any:
        def headers(url: str) -> list[tuple[str, str]]:
            return stream_headers(options, url, find_provider("twilio"))

        try:
            return read_target(
                address,
                metrics=figures,
                to=options["to"],
                user=options["user"],
                password=password,
                headers=headers,
            )
        except ConfigError as error:
            raise click.BadParameter(str(error), param_hint="--hosts") from error

    targets = [read(a, m) for a, m in zip(options["hosts"], metrics, strict=True)]
    return targets, read(options["through"], "") if options["through"] else None


def _host_row(host: Any, wide: int) -> str:
    def shown(value: Any, form: str = "") -> str:
        return "-" if value is None else format(value, form) if form else f"{value}"

    cells = [
        f"{host.calls}",
        shown(host.running),
        shown(host.cpu_s_per_call_minute, ".2f"),
        shown(host.cores, ".2f"),
        shown(host.round_trip),
        shown(host.late),
        shown(host.clock_late_p99_ms, ".1f"),
    ]
    row = " | ".join(f"{cell:>{len(head)}}" for cell, head in zip(cells, HOST_HEAD, strict=True))
    troubles = [
        *(f"{number} refused: {why}" for why, number in host.refused.items()),
        *(f"the host refused {number}: {why}" for why, number in host.causes.items()),
        f"{host.cut_off} CUT OFF" if host.cut_off else "",
        f"{host.unheard} WITHOUT A SOUND" if host.unheard else "",
        f"{host.lost:.2%} of frames lost" if (host.lost or 0) > 0.002 else "",
        f"{host.skipped_ticks} ticks skipped" if host.skipped_ticks else "",
    ]
    return f"{host.name:{wide}} | {row}" + "".join(f"  {told}" for told in troubles if told)


def _print_hosts_json(points: Any, most: int) -> None:
    import attrs

    from voxpy.cli.terminal.printing import print_json

    print_json({"v": 1, "points": [attrs.asdict(point) for point in points], "most_calls": most})


def _row(point: Any, floor_s: float) -> str:
    cells = [
        f"{point.calls}",
        f"{point.cpu_s_per_call_minute:.2f}",
        f"{point.cpu_s_per_call_minute / floor_s:.2f} x",
        f"{point.cores:.2f}",
        f"{point.up}",
        f"{point.down}",
        f"{point.late}",
        f"{point.clock_late_p99_ms:.1f}",
        f"{point.mb_per_call:.2f}",
        f"{point.clean:.0%}",
    ]
    row = " | ".join(f"{cell:>{len(head)}}" for cell, head in zip(cells, HEAD, strict=True))
    troubles = [
        "CALLS WERE LOST" if not point.alive else "",
        f"{point.lost:.2%} of frames lost" if point.lost > 0.002 else "",
        f"{point.skipped_ticks} ticks skipped" if point.skipped_ticks else "",
        f"{point.stolen:.0%} of a core stolen" if point.stolen > 0.02 else "",
    ]
    return row + "".join(f"  {trouble}" for trouble in troubles if trouble)


def _verdict(points: Any, most: int) -> str:
    if most == points[-1].calls:
        return f"{most} calls went well, the most that were tried; --calls takes more"
    if most:
        return f"{most} calls went well; {points[-1].calls} were too many"
    return f"{points[0].calls} calls were too many already"


def _say(console: Any, points: Any, most: int, picture: Path) -> None:
    console.print(_verdict(points, most))
    if any(point.clean < 0.5 for point in points):
        console.print("the machine was busy with other things: try again when it is not")
    console.print(f"picture: {picture}", soft_wrap=True)


def _print_json(described: Any, points: Any, most: int, floors: dict[int, float]) -> None:
    import attrs

    value = {
        "v": 1,
        "machine": attrs.asdict(described),
        "points": [
            {**attrs.asdict(point), "floor_cpu_s_per_call_minute": floors[point.calls]}
            for point in points
        ],
        "most_calls": most,
    }
    from voxpy.cli.terminal.printing import print_json

    print_json(value)
