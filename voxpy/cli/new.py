"""``voxpy new``: a scenario that works, and a caller to try it with."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path

import click

from voxpy.cli.terminal.printing import say
from voxpy.errors import ConfigError, install_command

FIRST = "front_desk"
PROJECT = {
    "routing.yaml": "routing.yaml.tmpl",
    "secrets.example.env": "secrets.example.env.tmpl",
    ".gitignore": "gitignore.tmpl",
    "pytest.ini": "pytest.ini.tmpl",
}
SHARED = (".gitignore", "pytest.ini")
"""What a folder may have already; it is left as it is."""


@click.command("new")
@click.argument("name", required=False)
@click.option(
    "--project",
    is_flag=True,
    help="Also write what a project needs, into this folder: routing, an example of the secrets, "
    ".gitignore and a test.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("scenarios"),
    show_default=True,
    help="Where scenarios live; callers go to a folder beside them.",
)
def command(name: str | None, *, project: bool, folder: Path) -> None:
    """Write a new scenario called NAME and a caller to try it with.

    NAME is a Python name such as front_desk. Nothing is ever overwritten.
    """
    if name is None and not project:
        raise click.UsageError("Missing argument 'NAME': a Python name such as front_desk")
    name = name or FIRST
    _check_name(name)
    if project and folder != Path("scenarios"):
        raise click.UsageError("--project has its own folders; --folder is for a scenario alone")
    scenario = folder / f"{name}.py"
    caller = folder / "callers" / f"{name}.yaml"
    files = {scenario: "scenario.py.tmpl", caller: "caller.yaml.tmpl"}
    if project:
        files |= {Path(path): template for path, template in PROJECT.items()}
        files[Path("tests") / f"test_{name}.py"] = "test.py.tmpl"
    for path in files:  # all of them, before one is written
        if path.exists() and str(path) not in SHARED:
            raise ConfigError("exists already, and nothing is overwritten", file=str(path))
    for path, template in files.items():
        if path.exists():
            say(f"kept {path}, which was there")
            continue
        _write(path, _template(template).replace("@NAME@", name))
        say(f"wrote {path}")
    if project:
        say("\nIn this folder:")
        say("  voxpy check                  what is wrong with the files")
        say(f"  pytest                       the test ({install_command('test')})")
    say("\nNext, with the local agent, then with Inworld (INWORLD_API_KEY in secrets.env):")
    say(f"  voxpy run {scenario} --caller {caller}")
    say(f"  voxpy run {scenario} --caller {caller} --agent inworld")


def _check_name(name: str) -> None:
    if name.isidentifier() and not keyword.iskeyword(name):
        return
    better = re.sub(r"\W+", "_", name.removesuffix(".py")).strip("_").lower()
    usable = better.isidentifier() and not keyword.iskeyword(better)
    hint = f"; did you mean {better!r}?" if usable else ""
    raise click.BadParameter(f"{name!r} is not a Python name{hint}", param_hint="NAME")


def _template(name: str) -> str:
    return resources.files("voxpy.cli").joinpath("templates", name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror}", file=str(path)) from exc
