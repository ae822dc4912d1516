"""The picture of lateness against the number of calls, as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 62, 44
LEAST_MS = 0.1
COLOURS = ("#1f6feb", "#8b949e", "#d29922", "#2da44e")

Line = Sequence[tuple[int, float]]
"""Points of calls and milliseconds."""


def lateness_svg(lines: Mapping[str, Line], *, title: str, notes: Sequence[str] = ()) -> str:
    """Return the picture; milliseconds on a logarithmic axis, one frame marked.

    The axis reaches as far as what was measured. ``notes`` are lines below the title: the machine,
    the date, what it comes to.
    """
    most_calls = max(calls for line in lines.values() for calls, _ in line)
    measured_ms = [ms for line in lines.values() for _, ms in line if math.isfinite(ms)]
    decades = max(3, math.ceil(math.log10(max(measured_ms, default=1.0) / LEAST_MS)))
    most_ms = LEAST_MS * 10**decades

    def x(calls: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * calls / most_calls

    def y(ms: float) -> float:
        share = math.log(max(ms, LEAST_MS) / LEAST_MS) / math.log(most_ms / LEAST_MS)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="14" fill="#24292f">{title}</text>',
    ]
    parts += [_text(LEFT, 30 + 14 * n, escape(note)) for n, note in enumerate(notes)]
    for ms in (*(LEAST_MS * 10**n for n in range(decades + 1)), 20):
        dash = ' stroke-dasharray="4 3"' if ms == 20 else ""
        parts.append(_rule(LEFT, y(ms), WIDTH - RIGHT, y(ms), dash))
        label = f"{ms:g} ms" if ms != 20 else "1 frame"
        parts.append(_text(LEFT - 6, y(ms) + 4, label, anchor="end"))
    parts += [
        _text(x(calls), HEIGHT - BOTTOM + 18, str(calls), anchor="middle")
        for calls in sorted({0, *(calls for line in lines.values() for calls, _ in line)})
    ]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "calls", anchor="middle"))
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        points = " ".join(f"{x(calls):.1f},{y(ms):.1f}" for calls, ms in line)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        for calls, ms in line:
            parts.append(f'<circle cx="{x(calls):.1f}" cy="{y(ms):.1f}" r="3" fill="{colour}"/>')
        calls, ms = line[-1]
        parts.append(_text(x(calls) + 8, y(ms) + 4, name, colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _rule(x1: float, y1: float, x2: float, y2: float, more: str) -> str:
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {where} stroke="#d0d7de"{more}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#57606a") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
