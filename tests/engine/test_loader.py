"""From files to modules, and what their authors are told when that fails."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voxpy.engine.faults import Fault, explain
from voxpy.engine.loader import Program, compile_scenarios
from voxpy.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    for session_id in ("one", "two"):
        Program.unload(session_id)
    assert sys.path == path
    assert not {m for m in set(sys.modules) - modules if m.startswith("voxpy_scenarios")}


def write(path: Path, source: str | bytes) -> Path:
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path


def run(path: Path, *more: Path, session_id: str = "one") -> types.ModuleType:
    return compile_scenarios([path, *more]).execute(session_id)


def refused(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        compile_scenarios([path])
    return str(caught.value).replace(str(path.parent), "DIR")


def fault_of(path: Path) -> Fault:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  whatever the file raises
        run(path)
    return explain(caught.value)


def test_files_share_one_namespace_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "first.py", "seen = [__file__]\ndef late(): return second")
    second = write(tmp_path / "second.py", "seen.append(__file__)\nsecond = 2")
    module = run(first, second)
    assert module.seen == [str(first), str(second)]
    assert module.late() == 2
    assert sys.modules[module.__name__] is module


def test_each_session_has_a_module_of_its_own(tmp_path: Path) -> None:
    program = compile_scenarios([write(tmp_path / "a.py", "items = []")])
    one, two = program.execute("one"), program.execute("two")
    one.items.append(1)
    assert two.items == []
    name = one.__name__
    Program.unload("one")
    assert name not in sys.modules
    assert sys.modules[two.__name__] is two


def test_dataclasses_with_postponed_annotations(tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, field\nfrom typing import ClassVar\n"
        "@dataclass\nclass Order:\n    kinds: ClassVar[int] = 3\n    price: float = 1.5\n"
    )
    module = run(write(tmp_path / "a.py", source))
    assert str(module.Order()) == "Order(price=1.5)"


def test_a_neighbour_is_imported_afresh_by_each_session(tmp_path: Path) -> None:
    write(tmp_path / "prices.py", "TABLE = {}")
    other = tmp_path / "other"
    other.mkdir()
    write(other / "names.py", "NAME = 'other'")
    program = compile_scenarios(
        [
            write(tmp_path / "a.py", "from .prices import TABLE\nfrom . import prices"),
            write(other / "b.py", "from .names import NAME"),
        ]
    )
    one, two = program.execute("one"), program.execute("two")
    one.TABLE["tea"] = 3
    assert one.prices.TABLE == {"tea": 3}
    assert two.TABLE == {}
    assert one.NAME == "other"


def test_no_file_at_all() -> None:
    with pytest.raises(ScenarioError, match="no scenario file was given"):
        compile_scenarios([])


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.py") == "DIR/x.py: there is no such scenario file"
    write(tmp_path / "b.py", "")
    write(tmp_path / "a.py", "")
    assert refused(tmp_path / "x.py").endswith("; DIR has: a.py, b.py")
    assert "(and no folder DIR)" in refused(tmp_path / "nowhere" / "x.py")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    assert refused(tmp_path / "folder.py").startswith("DIR/folder.py: cannot be read: ")


def test_a_syntax_error_shows_line_and_caret(tmp_path: Path) -> None:
    told = refused(write(tmp_path / "a.py", "x = 1\ny = = 2\n"))
    assert told == "DIR/a.py:2: invalid syntax\n    y = = 2\n        ^"


def test_text_that_is_no_utf8(tmp_path: Path) -> None:
    told = refused(write(tmp_path / "a.py", b"name = 'M\xfcller'\n"))
    assert told.startswith("DIR/a.py: cannot be read: 'utf-8' codec can't decode byte 0xfc")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert run(write(tmp_path / "a.py", b"\xef\xbb\xbfx = 'M\xc3\xbcller'")).x == "Müller"


def test_null_bytes(tmp_path: Path) -> None:
    told = refused(write(tmp_path / "a.py", b"x = 1\n\0"))
    assert told.startswith("DIR/a.py: source code")
    assert "null bytes" in told


def test_source_nested_deeper_than_the_parser(tmp_path: Path) -> None:
    assert refused(write(tmp_path / "a.py", "x = " + "-" * 100_000 + "1")).startswith("DIR/a.py")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that"),
        ("from .nothing import x", "ModuleNotFoundError: No module named 'voxpy_scenarios_one.n"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import json; json.loads('{')", "JSONDecodeError: "),
        ("eval('1 +')", "SyntaxError: "),
        ("import trio; trio.run(trio.sleep)", "TypeError: "),
    ],
)
def test_what_a_file_raises_is_placed_at_the_authors_line(
    tmp_path: Path, line: str, message: str
) -> None:
    path = write(tmp_path / "a.py", f"x = 1\n\n{line}\n")
    fault = fault_of(path)
    assert fault.message.startswith(message)
    assert fault.where == f"{path}:3"
    assert line in fault.frames
    assert "/loader.py" not in fault.frames
    assert "importlib" not in fault.frames


def test_a_syntax_error_of_a_neighbour_is_placed_there(tmp_path: Path) -> None:
    neighbour = write(tmp_path / "prices.py", "TABLE = {\n")
    fault = fault_of(write(tmp_path / "a.py", "from .prices import TABLE\n"))
    assert fault.where == f"{neighbour}:1"
    assert "/loader.py" not in fault.frames
