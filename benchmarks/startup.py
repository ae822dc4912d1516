"""How long a user waits: imports, ``voxpy --help``, the first sound of ``voxpy run``, a call on
virtual time. Each figure is the best of several fresh processes; the floor is a bare interpreter.

Run it:  python benchmarks/startup.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEPENDENCIES = (
    "import attrs, cattrs, httpx, numpy, orjson, trio, trio_websocket, yaml, importlib.metadata"
)
VOCABULARY = "import voxpy\nfor name in dir(voxpy): getattr(voxpy, name)"


def best_s(*command: str, repeat: int = 5) -> float:
    """Return the shortest wall time of ``command`` in seconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


def python_s(code: str) -> float:
    """Return the shortest time a fresh interpreter takes for ``code``."""
    return best_s(sys.executable, "-c", code)


def call(*flags: str) -> tuple[float, float, dict[str, float]]:
    """Run the example call; return its wall time, its length and when things happened in it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "voxpy", "run", "scenarios/answer.py", "--no-play"]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--out", folder, *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        took_s = time.perf_counter() - began
        (trace,) = Path(folder).glob("sessions/*/trace.jsonl")
        entries = [json.loads(line) for line in trace.read_text().splitlines()]
    moments = {e["name"]: e["t"] for e in reversed(entries)}
    return took_s, entries[-1]["t"], moments


def main() -> None:
    """Print the table."""
    floor = python_s("pass")
    deps = python_s(DEPENDENCIES)
    print(f"bare interpreter                     {floor * 1000:7.0f} ms")
    print(
        f"import voxpy, above that             {(python_s('import voxpy') - floor) * 1000:7.0f} ms"
    )
    print(f"its dependencies, above that         {(deps - floor) * 1000:7.0f} ms")
    vocabulary = python_s(f"{DEPENDENCIES}\n{VOCABULARY}")
    print(f"every name of voxpy, above those     {(vocabulary - deps) * 1000:7.0f} ms")
    help_s = best_s(sys.executable, "-m", "voxpy", "--help")
    print(f"voxpy --help                         {help_s * 1000:7.0f} ms")
    took_s, length_s, _ = call("--fast")
    print(f"voxpy run --fast, a {length_s:.0f} s call       {took_s * 1000:7.0f} ms")
    took_s, length_s, moments = call()
    first_s = took_s - length_s + moments["agent audible"]
    print(f"voxpy run to first audio, at most    {first_s * 1000:7.0f} ms")


if __name__ == "__main__":
    main()
