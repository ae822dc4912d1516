"""How an hour's call opens and scrolls in the page, in headless Chromium.

    python benchmarks/inspector.py [--minutes 60]

A call of half a minute on virtual time, repeated. Needs voxpy[local,browser] and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import click
import orjson
from playwright.sync_api import Page, sync_playwright

from voxpy.history.history import History
from voxpy.history.search import find_one
from voxpy.history.store import SqliteStore
from voxpy.history.tracefile import read_trace, record_of
from voxpy.inspector.onefile import one_file

ROOT = Path(__file__).resolve().parents[1]
PERIOD_S = 30.0
ENDS = ("call over", "Call.Disconnected", "media clock", "websocket closed", "VoxEngine.terminate")
PARTS = """
() => performance.getEntriesByType("measure")
  .map((each) => `${each.name} ${Math.round(each.duration)} ms`).join(", ")
"""
DRAW = """
([from, span]) => {
  const { lanes } = voxpy.shown;
  lanes.from = from;
  lanes.span = span;
  const times = [];
  for (let n = 0; n < 40; n++) {
    lanes.from = from + (n * span) / 100;
    const began = performance.now();
    lanes._plan();
    lanes._draw();
    times.push(performance.now() - began);
  }
  return Math.min(...times);
}
"""
FRAMES = """
(move) => new Promise((done) => {
  const times = [];
  let last = performance.now();
  let n = 0;
  const step = (now) => {
    times.push(now - last);
    last = now;
    if (n++ === 180) {
      times.sort((a, b) => a - b);
      done([0.5, 0.95, 0.99].map((q) => times[Math.floor(q * times.length)]));
      return;
    }
    move(n);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""
MOVES = {
    "pan at 30 s in sight": "(n) => voxpy.shown.lanes.show(600 + n * 2, 30)",
    "pan at 10 min in sight": "(n) => voxpy.shown.lanes.show(n * 12, 600)",
    "zoom from all to 1 s": "(n) => voxpy.shown.lanes.show(1800, 3600 * Math.pow(0.955, n))",
    "scroll events": "(n) => { document.getElementById('events').scrollTop = n * 900; }",
    "scroll transcript": "(n) => { document.getElementById('transcript').scrollTop = n * 120; }",
}


def make_hour(base: Path, minutes: float) -> None:
    """Write a long call into the history at ``base``."""
    short = base / "short"
    run = [sys.executable, "-m", "voxpy", "run", "scenarios/answer.py", "--fast", "--json"]
    subprocess.run([*run, "--out", str(short)], check=True, cwd=ROOT, capture_output=True)
    source = find_one(SqliteStore(short), "last").folder
    folder = base / "sessions" / "hour"
    folder.mkdir(parents=True)
    lines = [orjson.loads(line) for line in (source / "trace.jsonl").read_bytes().splitlines()]
    repeats = round(minutes * 60 / PERIOD_S)
    with (folder / "trace.jsonl").open("wb") as file:
        for n in range(repeats):
            for line in lines:
                last = n == repeats - 1
                if (line["kind"] == "session" or line["name"] in ENDS) and not last:
                    if not (n == 0 and line["name"] == "started"):
                        continue
                elif line["name"] in ("call began", "started") and n:
                    continue
                text = orjson.dumps({**line, "t": round(line["t"] + n * PERIOD_S, 4)})
                file.write(text.replace(b"_1_00", b"_%d_00" % n) + b"\n")
    with wave.open(str(source / "call.wav")) as short_file:
        settings = short_file.getparams()
        sound = short_file.readframes(short_file.getnframes())
    wanted = round(PERIOD_S * settings.framerate) * settings.nchannels * settings.sampwidth
    with wave.open(str(folder / "call.wav"), "wb") as long_file:
        long_file.setparams(settings)
        for _ in range(repeats):
            long_file.writeframes(sound[:wanted].ljust(wanted, b"\0"))
    record = record_of(read_trace(folder / "trace.jsonl"), session_id="hour")
    record.finish_reason = record.finish_reason or "Normal termination"
    record.personal["transcript"] = []
    history = History(base)
    history.write(record, folder)
    history.close()


def opened(page: Page, url: str) -> float:
    """Open a page; return the seconds until all of it is drawn."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("body[data-ready=true]", timeout=60_000)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return time.perf_counter() - began


def measured(page: Page) -> dict[str, Any]:
    """Return the milliseconds between frames for each way to move."""
    page.evaluate("document.getElementById('tab-events').click()")
    return {name: page.evaluate(f"({FRAMES})({move})") for name, move in MOVES.items()}


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
def main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = Path(folder)
        make_hour(base, minutes)
        trace = base / "sessions" / "hour" / "trace.jsonl"
        size = trace.stat().st_size / 1e6
        print(
            f"trace of {minutes:g} min: {len(trace.read_bytes().splitlines())} lines, {size:.1f} MB"
        )
        began = time.perf_counter()
        (base / "hour.html").write_text(one_file(find_one(SqliteStore(base), "hour")))
        took, size = time.perf_counter() - began, (base / "hour.html").stat().st_size / 1e6
        print(f"one file: {size:.1f} MB, made in {took:.1f} s")
        serve = [sys.executable, "-m", "voxpy", "serve", "routing.yaml", "--port", "8977"]
        host = subprocess.Popen(
            [*serve, "--agent", "ws://127.0.0.1:9/", "--out", str(base)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert host.stdout is not None
            while "listening on" not in host.stdout.readline():
                pass
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            for name, url in (
                ("host", "http://127.0.0.1:8977/calls/hour"),
                ("file", (base / "hour.html").as_uri()),
            ):
                times = sorted(opened(page, url) for _ in range(5))
                print(f"{name}: opens in {times[0]:.2f} s at best, median {times[2]:.2f} s")
                print(f"  {page.evaluate(PARTS)}")
                drawn = [f"{page.evaluate(DRAW, [600, span]):.1f} ms" for span in (30, 600, 3000)]
                print(f"  lanes drawn in {', '.join(drawn)} (30 s, 10 min, 50 min in sight)")
                for move, (p50, p95, p99) in measured(page).items():
                    print(f"  {move}: {p50:.1f} ms a frame, 95 % {p95:.1f}, 99 % {p99:.1f}")
            browser.close()
        finally:
            host.terminate()
            host.wait()


if __name__ == "__main__":
    main()
