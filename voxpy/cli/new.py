"""``voxpy new``: a scenario that works, and a caller to try it with."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path

import click

from voxpy.cli.printing import say
from voxpy.errors import ConfigError

__all__ = ["command"]


@click.command("new")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("scenarios"),
    show_default=True,
    help="Where scenarios live; callers go to a folder beside them.",
)
def command(name: str, *, folder: Path) -> None:
    """Write a new scenario called NAME and a caller to try it with.

    NAME is a Python name such as front_desk. Nothing is ever overwritten.
    """
    _check_name(name)
    scenario = folder / f"{name}.py"
    caller = folder / "callers" / f"{name}.yaml"
    for path in (scenario, caller):  # both, before either is written
        if path.exists():
            raise ConfigError("exists already, and nothing is overwritten", file=str(path))
    for path, template in ((scenario, "scenario.py.tmpl"), (caller, "caller.yaml.tmpl")):
        _write(path, _template(template).replace("@NAME@", name))
        say(f"wrote {path}")
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
