"""docs/testing.md: its script is one, passes, and every key and option is explained."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from click.testing import CliRunner

from voxpy.cli import main
from voxpy.lab.suite.expectations import EXPECT_KEYS
from voxpy.lab.suite.running import RunOptions, run_case

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("\n## voxpy test\n")[1].split("\n## ")[0]


def test_its_script_passes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "scenarios" / "answer.py", tmp_path)
    (script,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    path = tmp_path / "callers" / "answer.yaml"
    path.parent.mkdir()
    path.write_text(script, encoding="utf-8")
    report = run_case(path, RunOptions(out=tmp_path / "out"), 0)
    assert report.problems == ()
    assert report.not_judged == 1


def test_every_key_and_option_is_explained() -> None:
    assert [key for key in EXPECT_KEYS if f"| `{key}` |" not in SECTION] == []
    shown = CliRunner().invoke(main, ["test", "--help"]).output
    options = set(re.findall(r"(--[a-z-]+)", shown)) - {"--help"}
    assert [option for option in sorted(options) if option not in SECTION] == []
    assert [o for o in re.findall(r"`(--[a-z-]+)", SECTION) if o not in shown] == []
