"""A VoxEngine scenario in JavaScript, written again in Python: ``voxpy port scenario.js``.

``port`` reads the file with tree-sitter's grammar of JavaScript and writes a scenario for voxpy,
laid out by black. What has a like in Python becomes that; what has none stays where it was, as a
comment that begins ``# PORT:``, and is listed in ``Ported.notes`` with its line.

- ``syntax`` reads the tree.
- ``bindings`` knows what each name of the source stands for: which scope holds it, what it is
  called in Python, which functions are async, which hear an event.
- ``vocabulary`` asks voxpy itself what it has: names, signatures, event fields.
- ``kinds`` tells what an expression gives, as far as the source tells.
- ``expressions`` and ``calls`` write expressions, with ``library`` for JavaScript's own objects;
  ``simple``, ``branches`` and ``definitions`` write statements, ``writer`` the file.
"""

from voxpy.port.syntax import Note, Ported, SourceError
from voxpy.port.writer import port

__all__ = ["Note", "Ported", "SourceError", "port"]
