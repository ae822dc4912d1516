"""What other systems lack must not be needed by what runs there: a local call, a check, a test."""

from __future__ import annotations

import subprocess
import sys

UNIX_ONLY = ("fcntl", "resource", "termios", "pwd", "grp", "pty", "select.epoll")

PROGRAM = """
import select, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

for name in {names!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
if hasattr(select, "epoll"):
    del select.epoll

import voxpy
for name in dir(voxpy):
    getattr(voxpy, name)
import voxpy.simulation.localcall, voxpy.history.history, voxpy.cli.terminal.screen, voxpy.testing
import voxpy.cli.run, voxpy.cli.check, voxpy.cli.route, voxpy.cli.calls, voxpy.cli.show
import voxpy.cli.new, voxpy.cli.agent, voxpy.cli.test, voxpy.cli.fuzz, voxpy.cli.replay
import voxpy.cli.call, voxpy.cli.serve, voxpy.host.running, voxpy.host.listening
from pathlib import Path
from voxpy.history.history import History
base = Path(sys.argv[1])
history = History(base)
history.settle()
history.close()
print("fine")
"""


def test_nothing_needs_a_module_that_only_unix_has(tmp_path: object) -> None:
    names = tuple(name for name in UNIX_ONLY if "." not in name)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=names), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr
