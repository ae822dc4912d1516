"""docs/testing.md: what it shows as a test file is one, and passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (test_\w+\.py)\n(.*?)```", GUIDE, re.DOTALL))


@pytest.mark.slow
def test_its_examples_are_tests_and_pass(pytester: pytest.Pytester) -> None:
    for scenario in ("answer.py", "tools.py"):
        shutil.copy(ROOT / "scenarios" / scenario, pytester.path)
    for name, text in FILES.items():
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=sum(text.count("def test_") for text in FILES.values()))
    assert len(FILES) >= 4
