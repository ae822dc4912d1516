"""Makes the calls of a run, one after the other or on several processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from voxpy.lab.suite.report import CallReport
from voxpy.lab.suite.running import RunOptions, run_case

__all__ = ["run_cases"]


def run_cases(
    paths: Sequence[Path],
    options: RunOptions,
    *,
    repeat: int = 1,
    jobs: int = 1,
    stop_at_failure: bool = False,
) -> Iterator[CallReport]:
    """Yield a report of each call as it is over: every script with seeds 0 to ``repeat`` - 1.

    With several ``jobs`` they come in no order. ``stop_at_failure``: no call is begun after one
    that did not pass.
    """
    calls = [(path, seed) for path in paths for seed in range(repeat)]
    if jobs > 1 and len(calls) > 1:
        yield from _in_processes(calls, options, min(jobs, len(calls)), stop_at_failure)
        return
    for path, seed in calls:
        report = run_case(path, options, seed)
        yield report
        if stop_at_failure and report.outcome != "passed":
            return


def _in_processes(
    calls: Sequence[tuple[Path, int]], options: RunOptions, jobs: int, stop_at_failure: bool
) -> Iterator[CallReport]:
    # Spawned, not forked: speech engines have threads, which a fork would lose.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_leave_ctrl_c_to_the_parent)
    try:
        for done in as_completed([pool.submit(run_case, p, options, s) for p, s in calls]):
            report = done.result()
            yield report
            if stop_at_failure and report.outcome != "passed":
                return
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_the_parent() -> None:
    """Let the calls that are under way end; the parent begins no others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
