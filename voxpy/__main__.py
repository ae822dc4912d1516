"""``voxpy`` and ``python -m voxpy``."""

from __future__ import annotations

from voxpy.cli import main as commands

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    commands(prog_name="voxpy")


if __name__ == "__main__":
    main()
