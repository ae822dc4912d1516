"""``voxpy bench``: how many calls this machine carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXIT_FAILED = 1
HEAD = (
    "calls", "CPU s per call-min", "to floor", "cores", "up p50 / p99 ms", "down p50 / p99 ms",
    "late p50 / p99 ms", "clock p99 ms", "MB per call", "clean",
)  # fmt: skip


def _counts(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    words = value.split(",")
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise click.BadParameter(f"{value!r} is not numbers of calls, as in 20,60,100")
    return [int(word) for word in words]


@click.command()
@click.option(
    "--calls",
    default="20,60,100",
    show_default=True,
    metavar="N,N,...",
    callback=_counts,
    help="How many calls at once, one after another.",
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
def command(**options: Any) -> None:
    """Measure how many calls at once this machine carries, from provider to agent and back.

    It starts `voxpy serve`, simulated callers with Twilio's protocol and a realtime service that
    only speaks, all on 127.0.0.1, and ends them. Needs Linux and a core more than --workers. Exit
    code 1 if even the first number of calls was too much.
    """
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
    from voxpy.cli.printing import print_json

    print_json(value)
