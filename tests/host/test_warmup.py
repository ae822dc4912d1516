"""What a process that serves calls does once: nothing is left for the first call to load."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, sys
from voxpy.host.running import warm_up
warm_up()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
before = set(sys.modules)
from voxpy import AppEvents, CallEvents, Inworld, Logger, Modules, VoxEngine
VoxEngine.create_conference, Inworld.create_realtime_api_client
print(sorted(m for m in set(sys.modules) - before if m.startswith("voxpy")))
"""


def test_the_vocabulary_is_loaded_and_the_collector_leaves_it_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
