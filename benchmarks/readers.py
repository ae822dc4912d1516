"""A million inputs that are nearly right, over every reader of outside bytes.

    python benchmarks/readers.py                          a million, an hour or less
    python benchmarks/readers.py --inputs 20000 "sip messages" rtp
    python benchmarks/readers.py --number 123 "rtp"       one input again, its bytes and its error

Each reader may raise its own error and nothing else; YAML files, which only users of a host write,
get a tenth and may take their time. Told are how long the slowest input took that
has at most 10 kB, the best of three readings, and what went wrong. The readers, their seeds and the
errors that are theirs are in ``tests/readers/table.py``; what ``pytest`` tries of each is a
thousandth of this.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.readers.mutating import mutated
from tests.readers.table import READERS, Reader

SLOW_S = 0.02
MOST_TOLD = 5


@attrs.define
class Found:
    """What came of one reader's inputs."""

    inputs: int = 0
    refused: int = 0
    wrong: dict[str, int] = attrs.field(factory=dict)
    slowest_s: float = 0.0
    slowest: int = 0
    took_s: float = 0.0


def once(reader: Reader, data: bytes) -> tuple[float, bool, BaseException | None]:
    """Return how long it took, whether it was refused, and an error that is not the reader's."""
    began = time.process_time()
    refused, error = False, None
    try:
        reader.read(data)
    except reader.errors:
        refused = True
    except Exception as raised:
        error = raised
    return time.process_time() - began, refused, error


def where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {str(error)[:80]} at {Path(frame.filename).name}:{frame.lineno}"
    )


def try_all(reader: Reader, first: int, count: int) -> Found:
    found = Found()
    began = time.process_time()
    for number in range(first, first + count):
        data = mutated(reader.seeds, number)
        took_s, refused, error = once(reader, data)
        found.inputs += 1
        found.refused += refused
        if error is not None:
            found.wrong.setdefault(where(error), number)
        if took_s > found.slowest_s:
            took_s = min(took_s, *(once(reader, data)[0] for _ in range(2)))
            if took_s > found.slowest_s:
                found.slowest_s, found.slowest = took_s, number
    found.took_s = time.process_time() - began
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("readers", nargs="*", metavar="READER", help="which; all by default")
    asked.add_argument("--inputs", type=int, default=1_000_000, help="of all readers together")
    asked.add_argument("--first", type=int, default=0, help="the number of the first input")
    asked.add_argument("--number", type=int, help="read this one input and show it")
    options = asked.parse_args()
    if unknown := set(options.readers) - set(READERS):
        asked.error(f"no such reader: {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    warnings.simplefilter("error")
    chosen = [READERS[name] for name in options.readers or READERS]
    if options.number is not None:
        data = mutated(chosen[0].seeds, options.number)
        print(data)
        chosen[0].read(data)
        return
    print(f"{'reader':22} {'inputs':>8} {'refused':>8} {'mean us':>8} {'slowest ms':>10}  wrong")
    every, bad, slow = 0, 0, 0
    for reader in chosen:
        count = options.inputs // len(chosen)
        found = try_all(reader, options.first, count // 10 if reader.users else count)
        every, bad = every + found.inputs, bad + len(found.wrong)
        slow += found.slowest_s > SLOW_S and not reader.users
        mean_us = found.took_s / found.inputs * 1e6
        slowest = f"{found.slowest_s * 1000:.1f} (#{found.slowest})"
        print(f"{reader.name:22} {found.inputs:8} {found.refused:8} {mean_us:8.0f} {slowest:>10}",
              "" if not found.wrong else len(found.wrong), flush=True)  # fmt: skip
        for words, number in list(found.wrong.items())[:MOST_TOLD]:
            print(f"    #{number}: {words}")
    print(f"{every} inputs, {bad} errors that are no reader's own, {slow} readers over 20 ms")
    raise SystemExit(bool(bad or slow))


if __name__ == "__main__":
    main()
