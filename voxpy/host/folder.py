"""The folder of a session: ``.voxpy/sessions/<id>/``."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["SessionFolder"]


@attrs.frozen
class SessionFolder:
    """Where a session leaves its trace, log, recordings and record."""

    root: Path

    @classmethod
    def create(cls, base: Path, session_id: str) -> SessionFolder:
        """Make the folder. Raises OSError if that is impossible."""
        root = (base / "sessions" / session_id).absolute()
        root.mkdir(parents=True, exist_ok=False)
        return cls(root)

    def path(self, name: str) -> Path:
        """Return the path of a new file; a taken name gets ``-2``, ``-3`` before its suffix."""
        path, n = self.root / name, 1
        while path.exists():
            n += 1
            path = self.root / f"{Path(name).stem}-{n}{Path(name).suffix}"
        return path
