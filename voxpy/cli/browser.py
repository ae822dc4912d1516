"""``voxpy run --browser``: a host for one scenario, and the phone in its page."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

PORT = 8088
"""The same each time if it is free: that it may hear the microphone, a browser keeps by address."""
UNUSED = ("caller", "callees", "fast", "play", "mic", "as_json", "verbose")


def serve_one(options: Mapping[str, Any]) -> None:
    """Serve the scenarios of ``voxpy run`` until Ctrl-C. Raises UsageError, and SystemExit."""
    from voxpy.cli.serve import command as serve

    for name in UNUSED:
        if options[name]:
            flag = {"callees": "callee", "as_json": "json"}.get(name, name)
            raise click.UsageError(f"--browser has a person for a caller: it takes no --{flag}")
    secrets: Path = options["secrets_path"]
    agent = options["agent"] or ("inworld" if _has_key(secrets) else "local")
    given = {
        "--agent": agent,
        "--port": str(_free_port()),
        "--secrets": str(secrets) if secrets.exists() else "",
        "--out": str(options["out"]),
        "--llm": options["llm"],
        "--llm-model": options["llm_model"],
        "--topics": options["topics"] and str(options["topics"]),
        "--drain-s": "0",
    }
    words = [word for name, value in given.items() if value for word in (name, value)]
    with tempfile.TemporaryDirectory(prefix="voxpy-") as folder:
        routing = Path(folder) / "routing.yaml"
        routing.write_text(_routing(options), encoding="utf-8")
        serve.main([str(routing), "--open", *words], prog_name="voxpy run --browser")


def _routing(options: Mapping[str, Any]) -> str:
    """Return a routing file with one rule that takes every call."""
    scenarios = [str(path.absolute()) for path in options["scenarios"]]
    name = options["scenarios"][0].stem
    return yaml.safe_dump(
        {
            "rules": [{"name": name, "pattern": ".*", "scenarios": scenarios}],
            "channels": {"browser": {"to": options["destination"] or name}},
        }
    )


def _has_key(secrets: Path) -> bool:
    from voxpy.project.secrets import Secrets

    return bool(Secrets(secrets).get("INWORLD_API_KEY"))


def _free_port() -> int:
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT
