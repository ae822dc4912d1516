"""VoxEngine's vocabulary held against voxpy's, and the pages made from it.

    python docs/reference.py missing     writes docs/missing.md
    python docs/reference.py build       builds the reference and the guides into site/

``voxengine.tsv`` has every name of VoxEngine's typings; what becomes of each is asked of voxpy
itself, so neither page nor count can differ from the code. ``build`` needs the extra ``docs``.
"""

from __future__ import annotations

import csv
import inspect
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

import voxpy
from voxpy.absent import ABSENT
from voxpy.errors import NotSupported
from voxpy.port.vocabulary import is_event, snake

HERE = Path(__file__).parent
TABLE = HERE / "voxengine.tsv"
GLOBAL = "(global)"
SITE = HERE.parent / "site"

Status = Literal["works", "refuses", "missing"]


@attrs.frozen
class Name:
    """One name of VoxEngine: where it stands, what it is, and what voxpy makes of it.

    ``why`` is the reason of what refuses; ``python`` voxpy's name of it, empty for what is missing.
    """

    path: str
    kind: str
    name: str
    python: str = ""
    status: Status = "missing"
    why: str = ""

    @property
    def root(self) -> str:
        return self.path.split(".")[0]

    @property
    def whole(self) -> str:
        return self.name if self.path in (GLOBAL, self.name) else f"{self.path}.{self.name}"


def names() -> list[Name]:
    """Return every name of VoxEngine with what voxpy makes of it."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [_judged(Name(row["path"], row["kind"], row["name"])) for row in rows]


def _judged(name: Name) -> Name:
    if name.root in ABSENT:
        return attrs.evolve(name, status="refuses", why=ABSENT[name.root])
    where = [] if name.path == GLOBAL else name.path.split(".")
    if name.kind in ("enum", "class") and where[-1:] == [name.name]:
        where.pop()
    place: Any = voxpy
    spelled: list[str] = []
    try:
        for part in [*where, name.name]:
            place, written = _member(place, part)
            spelled.append(written)
    except NotSupported as error:
        return attrs.evolve(name, status="refuses", why=str(error))
    except LookupError:
        return name
    why = _refusal(place)
    return attrs.evolve(
        name, python=".".join(spelled), status="refuses" if why else "works", why=why
    )


def _member(place: Any, name: str) -> tuple[Any, str]:
    """Return a member by VoxEngine's name, and voxpy's name of it. Raises LookupError."""
    python = snake(name)
    for written in dict.fromkeys(
        (name, python, f"{python}_", python.replace("websocket", "web_socket"))
    ):
        found = inspect.getattr_static(place, written, None) if place is not voxpy else None
        if inspect.isclass(place) and isinstance(found, property):
            return found, written
        try:
            return getattr(place, written), written
        except AttributeError:
            fields = attrs.fields_dict(place) if inspect.isclass(place) and attrs.has(place) else {}
            told = getattr(place, "__annotations__", {}) if inspect.isclass(place) else {}
            if written in fields or written in told or _is_set(place, written):
                return None, written
    raise LookupError(name)


def _is_set(place: Any, name: str) -> bool:
    """Return whether objects of a class get an attribute when they are made."""
    if not inspect.isclass(place):
        return False
    try:
        return bool(re.search(rf"self\.{name}\b[^=\n]*=", inspect.getsource(place.__init__)))
    except (OSError, TypeError):
        return False


def _refusal(found: Any) -> str:
    """Return why something that is there does nothing."""
    never = getattr(found, "never", "") if is_event(found) else ""
    if never:
        return f"never comes: {never}"
    told = re.search(r"Raises NotSupported: ([^.]*)\.", (inspect.getdoc(found) or ""))
    return told[1] if told and callable(found) and not inspect.isclass(found) else ""


# -- the page of what is missing -------------------------------------------------------------------


def missing_page() -> str:
    """Return docs/missing.md."""
    every = names()
    count = Counter(name.status for name in every)
    absent = sum(name.root in ABSENT for name in every)
    lines = [
        "# What VoxEngine has and voxpy does not",
        "",
        "Made by `python docs/reference.py missing` from VoxEngine's typings and voxpy itself; a "
        "test holds it against both.",
        "",
        f"Of {len(every)} names of VoxEngine's vocabulary {count['works']} work, "
        f"{count['refuses']} say by an error why they do not ({absent} of them belong to "
        f"namespaces that voxpy does not mean to have), {count['missing']} are missing.",
        "",
        "## Not meant to be here",
        "",
        "Asked for, each raises `NotSupported` with its reason.",
        "",
        "| VoxEngine | why |",
        "|---|---|",
    ]
    reasons = defaultdict(list)
    for root, why in ABSENT.items():
        reasons[why].append(f"`{root}`")
    lines += [f"| {', '.join(roots)} | {why} |" for why, roots in reasons.items()]
    refusing = [n for n in every if n.status == "refuses" and n.root not in ABSENT]
    lines += ["", "## Here, but refuses", "", "| VoxEngine | why |", "|---|---|"]
    lines += [f"| `{n.whole}` | {n.why} |" for n in refusing] or ["| nothing | |"]
    lacking = defaultdict(list)
    for n in every:
        if n.status == "missing":
            lacking[n.root].append(n)
    lines += [
        "",
        "## Missing",
        "",
        "A missing name fails when it is used, with the nearest real one.",
        "",
    ]
    if lacking:
        lines += ["| namespace | names |", "|---|---|"]
        lines += [
            f"| `{root}` | {', '.join(f'`{n.name}`' for n in found)} |"
            for root, found in sorted(lacking.items())
        ]
    else:
        lines.append("Nothing.")
    return "\n".join(lines) + "\n"


# -- the reference ---------------------------------------------------------------------------------


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page of the reference."""
    by_root: dict[str, list[Name]] = defaultdict(list)
    for name in names():
        by_root[name.root].append(name)
    for root in sorted({*by_root, *dir(voxpy)} - {GLOBAL} - set(ABSENT)):
        home = voxpy._HOMES.get(root)
        if home is not None and root[:1].isupper():
            yield root, _page(root, f"{home}.{root}", by_root.get(root, ()))
    functions = [n for n in dir(voxpy) if n[:1].islower()]
    yield "functions", _functions(functions, by_root[GLOBAL])


def _page(root: str, where: str, found: Sequence[Name]) -> str:
    value = getattr(voxpy, root)
    shown = where if inspect.isclass(value) else f"{type(value).__module__}.{type(value).__name__}"
    return f"# {root}\n\n`from voxpy import {root}`\n\n{_table(found)}\n\n{_directive(shown)}\n"


def _functions(functions: Sequence[str], found: Sequence[Name]) -> str:
    shown = "\n\n".join(_directive(f"{voxpy._HOMES[n]}.{n}") for n in functions)
    return f"# Functions\n\n`from voxpy import …`\n\n{_table(found)}\n\n{shown}\n"


def _directive(where: str) -> str:
    return f"::: {where}\n    options:\n      show_root_heading: true\n"


def _table(found: Sequence[Name]) -> str:
    if not found:
        return "voxpy's own: VoxEngine has no such name."
    rows = [
        f"| `{n.whole}` | {f'`{n.python}`' if n.python else ''} | {n.status}"
        f"{f': {n.why}' if n.why else ''} |"
        for n in found
    ]
    return "\n".join(["| VoxEngine | voxpy | |", "|---|---|---|", *rows])


CONFIGURATION = """\
site_name: voxpy
docs_dir: pages
site_dir: {site}
theme: {{name: readthedocs, highlightjs: false}}
use_directory_urls: false
plugins:
  - search
  - mkdocstrings:
      handlers:
        python:
          options:
            show_source: false
            members_order: source
            docstring_style: google
            docstring_options: {{warnings: false}}
            filters: ["!^_"]
            show_if_no_docstring: true
validation: {{links: {{not_found: warn, anchors: warn, unrecognized_links: ignore}}}}
extra_css: [wide.css]
markdown_extensions: [tables, fenced_code, toc]
nav:
  - Home: index.md
  - Guides: {guides}
  - Reference: {reference}
"""


def build(site: Path) -> None:
    """Build the pages into ``site``. Raises CalledProcessError at the first warning."""
    with tempfile.TemporaryDirectory(prefix="voxpy-docs-") as folder:
        base = Path(folder)
        out = base / "pages"
        (out / "reference").mkdir(parents=True)
        for guide in sorted(HERE.glob("*.md")):
            (out / guide.name).write_text(_outward(guide.read_text(encoding="utf-8")), "utf-8")
        shutil.copytree(HERE / "images", out / "images")
        home = (HERE.parent / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
        home = home.replace('src="docs/', 'src="')
        (out / "index.md").write_text(_outward(home, up=""), "utf-8")
        (out / "wide.css").write_text(".wy-table-responsive table td {white-space: normal}\n")
        made = dict(pages())
        for name, text in made.items():
            (out / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
        (base / "mkdocs.yml").write_text(
            CONFIGURATION.format(
                site=site,
                guides=[guide.name for guide in sorted(HERE.glob("*.md"))],
                reference=[f"reference/{name}.md" for name in made],
            ),
            encoding="utf-8",
        )
        # Not --quiet: that hides warnings before --strict can count them.
        command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
        built = subprocess.run(command, cwd=base, capture_output=True, text=True)  # noqa: S603  our own
        if built.returncode:
            print(built.stdout + built.stderr, file=sys.stderr)
        built.check_returncode()


def _outward(text: str, *, up: str = "../") -> str:
    """Turn links to files outside of docs into plain names: the site has pages alone."""
    outside = re.compile(
        rf"\[([^\]]+)\]\({re.escape(up)}(?!images/)(?:[\w./-]+/)?[\w.-]+(?<!\.md)(?:#[\w-]*)?\)"
        rf"|\[([^\]]+)\]\({re.escape(up)}(?:DESIGN|CONTRIBUTING|CHANGELOG|README)\.md(?:#[\w-]*)?\)"
    )
    return outside.sub(lambda m: f"`{m[1] or m[2]}`", text)


COMMANDS: Mapping[str, str] = {"missing": "docs/missing.md", "build": "site/"}


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["missing"]:
        (HERE / "missing.md").write_text(missing_page(), encoding="utf-8")
    elif list(arguments) == ["build"]:
        build(SITE)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print(f"wrote {COMMANDS[arguments[0]]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
