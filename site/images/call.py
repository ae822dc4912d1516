"""Draws docs/images/call.svg: what `voxpy run scenarios/answer.py` shows, from a real run of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
COLUMNS = 112


def main() -> None:
    """Run the call on virtual time, keep what the terminal shows, write it as a picture."""
    ran = subprocess.run(
        [sys.executable, "-m", "voxpy", "run", "scenarios/answer.py", "--fast"],
        cwd=ROOT,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)},
        stdout=subprocess.PIPE,
        check=True,
    )
    lines = ran.stdout.decode().splitlines()
    began = next(n for n, line in enumerate(lines) if " calls " in line)
    cut_in = next(n for n, line in enumerate(lines) if "barge-in" in line)
    over = next(n for n, line in enumerate(lines) if " termination after " in line)
    told = [*lines[began : cut_in + 3], "     …", "", *lines[over : over + 4]]
    shown = "\n".join(["$ voxpy run scenarios/answer.py", "", *told])
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(Text.from_ansi(shown))
        svg = console.export_svg(title="voxpy run", clear=False)
    # Whatever monospace the reader has: a picture that fetches fonts tells on its readers.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, ", "")
    Path(__file__).with_name("call.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
