"""Every scenario that a reader may copy keeps every rule: README, docs, the template, ours."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from voxpy.lab.fuzz.hunt import hunt
from voxpy.lab.fuzz.perform import Conditions

ROOT = Path(__file__).parents[3]
CALLS = int(os.environ.get("FUZZ_CALLS", "20"))
"""A few in the suite; ``FUZZ_CALLS=500`` before a release."""
WHOLE = ("AppEvents.CallAlerting", "import")


def documented() -> dict[str, str]:
    """Return the scenarios by where they stand."""
    found: dict[str, str] = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        whole = [b for b in blocks if all(word in b for word in WHOLE) and "voxpy" in b]
        found |= {
            f"{page.name}-{n}": block
            for n, block in enumerate(whole, 1)
            if re.search(r"VoxEngine\.(on|add_event_listener)\(\s*AppEvents\.CallAlerting", block)
            and "def test_" not in block
        }
    template = ROOT / "voxpy" / "cli" / "templates" / "scenario.py.tmpl"
    found["template"] = template.read_text(encoding="utf-8").replace("@NAME@", "reception")
    return found


DOCUMENTED = documented()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_scenario_keeps_every_rule(name: str) -> None:
    hunted = hunt(Conditions(scenario=DOCUMENTED[name]), calls=CALLS, first_seed=5)
    if hunted.failure is not None:
        told = "\n".join(map(str, hunted.failure.violations))
        pytest.fail(f"{told}\n{hunted.failure.timeline}\n{hunted.failure.yaml}", pytrace=False)
    assert hunted.calls == CALLS


def test_there_are_some() -> None:
    assert "README.md-1" in DOCUMENTED
    assert len(DOCUMENTED) >= 4
