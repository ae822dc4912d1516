"""The same surroundings for every test on every machine, and a patient watch over each."""

from __future__ import annotations

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
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("any machine")

TERMINAL = {"COLUMNS": "100", "LINES": "40"}
OF_THE_MACHINE = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "MEDIA_TOKEN")
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
MOST_PROCESSES = 8
PATIENCE_S = 300
"""No test takes a thirtieth of it; what is not over by then never will be, on any machine."""


def pytest_configure(config: pytest.Config) -> None:
    """Give tests, and the processes they start, the terminal of nobody and the keys of nobody."""
    for name in tuple(os.environ):
        if name.startswith(OWNERS) or name.upper().endswith(PROXY) or name in OF_THE_MACHINE:
            del os.environ[name]
    os.environ.update(TERMINAL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests together where several processes run them.

    Not by marks of groups: pytest 9.2 does not see the names that xdist 3.8 gives to their tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A process per core, up to where more of them only start and stop."""
    return min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2, MOST_PROCESSES)


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
