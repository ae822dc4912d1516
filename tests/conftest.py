"""The same surroundings for every test on every machine, and a patient watch over each."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("any machine"), max_examples=1000)
settings.load_profile("any machine")

TERMINAL = {"COLUMNS": "100", "LINES": "40"}
OF_THE_MACHINE = (
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "MEDIA_TOKEN",
    "PYTHONDONTWRITEBYTECODE",  # a hundred processes would each compile all of voxpy
)
OWNERS = ("INWORLD", "OPENAI", "VOXPY", "TWILIO", "TELNYX", "PLIVO", "VONAGE")
PROXY = "_PROXY"

TOGETHER = (
    "tests/channels/providers/test_providers.py",
    "tests/channels/sip/peers/",
    "tests/fleet/test_kamailio.py",
    "tests/history/",
    "tests/host/serve/test_stored.py",
    "tests/pages/",
    "tests/services/test_by_tcp.py",
    "tests/test_architecture.py",
)
"""Where tests share what takes seconds to make, or a program that only one of them may run."""
REAL = (
    "tests/pages/",
    "tests/channels/sip/peers/",
    "tests/host/serve/test_processes.py",
    "tests/fleet/test_kamailio",
    "tests/fleet/test_hosts.py",
    "tests/cli/test_call.py",
    "tests/cli/test_bench.py",
    "tests/test_processes.py",
    "tests/calllists/test_working.py",
    "tests/services/test_by_tcp.py",
    "tests/host/serve/test_stored.py",
    "tests/host/serve/test_providers.py",
    "tests/channels/sip/test_",
    "tests/channels/mediastream/test_dialling.py",
    "tests/channels/test_mediastream.py",
    "tests/conformance/",
    "tests/lab/test_sipcall.py",
    "tests/realtime/test_barge_in_by_tcp.py",
)
"""Where tests hear and speak in real time, or wait for other processes; those that take longest
first. One half of the processes begins with them, and the other half makes way for it: what only
computes must not make a phone late."""
MOST_PROCESSES = 8
COLLECTED = (5_000, 20, 50)
"""Rarely: a look at all that tests leave takes as long as many a test."""
PATIENCE_S = 300
"""No test takes a thirtieth of it; what is not over by then never will be, on any machine."""


def pytest_configure(config: pytest.Config) -> None:
    """Give tests, and the processes they start, the terminal of nobody and the keys of nobody."""
    for name in tuple(os.environ):
        if name.startswith(OWNERS) or name.upper().endswith(PROXY) or name in OF_THE_MACHINE:
            del os.environ[name]
    os.environ.update(TERMINAL)
    process, processes = map(os.environ.get, ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"))
    if process and processes and hasattr(os, "nice") and not _is_on_time(process, int(processes)):
        os.nice(3)  # half as much time; with less, somebody else's load would stop them


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests together where several processes run them, and let half of them be on time.

    Not by marks of groups: pytest 9.2 does not see the names that xdist 3.8 gives to their tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        _in_order = False

        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            queue = self.workqueue
            if not self._in_order:
                self._in_order = True
                real = [scope for place in REAL for scope in queue if scope.startswith(place)]
                for scope in reversed(real):
                    queue.move_to_end(scope, last=False)
            if not _is_on_time(node.gateway.id, len(self.nodes)):
                queue.move_to_end(next(reversed(queue)), last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log) if config.getvalue("dist") == "load" else None


def _is_on_time(process: str, processes: int) -> bool:
    """Whether a process of xdist begins with tests in real time; the others make way for it."""
    return int(process.removeprefix("gw")) < max(1, processes // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores, as half of them mostly wait; up to where more only start."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2
    return min(cores + 2, MOST_PROCESSES)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the collector off a million objects that are tests: each look would take a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED)


class Overdue(Exception):
    """A test hangs. Raised where the main thread is, so that the traceback shows the place."""


@contextmanager
def _watched(item: pytest.Item) -> Iterator[None]:
    """End a phase of a test that hangs.

    Not by faulthandler: it walks the stacks of threads that run meanwhile, and has crashed a whole
    run by that. A signal's handler runs between two instructions of the main thread.
    """

    def overdue(number: int, frame: FrameType | None) -> None:
        raise Overdue(f"{item.nodeid} has not ended within {PATIENCE_S} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, overdue)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Watch over the fixtures."""
    with _watched(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Watch over the test."""
    with _watched(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Watch over what the fixtures clear away."""
    with _watched(item):
        return (yield)
