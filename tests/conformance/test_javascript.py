"""Clients of others for Node, unchanged, against the local agent (--as openai, with TLS)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import Agent

HERE = Path(__file__).parent / "javascript"
MODULES = Path(os.environ.get("NODE_PATH") or HERE / "node_modules")
NODE = shutil.which("node") or ""

pytestmark = pytest.mark.slow

PACKAGES = {"openai": "openai", "agents": "@openai/agents-realtime"}
SOUNDS = {
    "audio": "hello my good friend",
    "push_to_talk": "good evening",
    "barge_in": "stop it now",
}
ANSWERS = {
    "text": "You said Good morning",
    "audio": "You said hello my good friend",
    "push_to_talk": "You said good evening",
    "tool": "It is 7 degrees",
    "barge_in": "You said stop it now",
}
PATIENCE_S = 30


@pytest.mark.parametrize("turn", ANSWERS)
@pytest.mark.parametrize("client", PACKAGES)
def test_a_conversation(
    secure_agent: Agent, authority: Path, client: str, turn: str, tmp_path: Path
) -> None:
    if not NODE or not (MODULES / PACKAGES[client]).exists():
        pytest.skip(f"npm install in {HERE}, or name node_modules in NODE_PATH")
    sound = tmp_path / "sound.pcm"
    sound.write_bytes(secure_agent.spoken(SOUNDS.get(turn, "hello")))
    ended = subprocess.run(
        [
            NODE,
            HERE / f"{client}.js",
            MODULES.parent,
            f"localhost:{secure_agent.port}",
            turn,
            sound,
        ],
        capture_output=True,
        env=os.environ | {"NODE_EXTRA_CA_CERTS": str(authority)},
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout) == ANSWERS[turn]
