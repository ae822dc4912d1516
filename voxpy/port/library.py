"""JavaScript's own objects and methods, and what does the same in Python.

Each entry is a template: ``{0}``, ``{1}`` … are the arguments, ``{o}`` the object. What follows a
``/`` counts the arguments: ``slice/1``. The modules a template names are imported by it.
"""

from __future__ import annotations

import re

FUNCTIONS = {
    "parseInt/1": "int({0})",
    "parseInt/2": "int({0}, {1})",
    "parseFloat/1": "float({0})",
    "Number/1": "float({0})",
    "String/1": "str({0})",
    "Boolean/1": "bool({0})",
    "isNaN/1": "math.isnan({0})",
    "encodeURIComponent/1": 'urllib.parse.quote({0}, safe="")',
    "encodeURI/1": 'urllib.parse.quote({0}, safe="!#$&\'()*+,/:;=?@~")',
    "decodeURIComponent/1": "urllib.parse.unquote({0})",
    "JSON.stringify/1": "json.dumps({0}, default=str)",
    "JSON.stringify/2": "json.dumps({0}, default=str)",
    "JSON.stringify/3": "json.dumps({0}, default=str, indent={2})",
    "JSON.parse/1": "json.loads({0})",
    "Date.now/0": "int(time.time() * 1000)",
    "Math.floor/1": "math.floor({0})",
    "Math.ceil/1": "math.ceil({0})",
    "Math.round/1": "math.floor({0} + 0.5)",
    "Math.trunc/1": "int({0})",
    "Math.abs/1": "abs({0})",
    "Math.random/0": "random.random()",
    "Math.pow/2": "({0}) ** ({1})",
    "Math.sqrt/1": "math.sqrt({0})",
    "Object.keys/1": "list({0})",
    "Object.values/1": "list({0}.values())",
    "Object.entries/1": "list({0}.items())",
    "Object.assign/2": "{{**{0}, **{1}}}",
    "Object.prototype.hasOwnProperty.call/2": "{1} in {0}",
    "Array.isArray/1": "isinstance({0}, list)",
    "Array.from/1": "list({0})",
    "Number.isNaN/1": "math.isnan({0})",
    "Number.isInteger/1": "isinstance({0}, int)",
    "Number.parseInt/1": "int({0})",
    "Number.parseInt/2": "int({0}, {1})",
    "Number.parseFloat/1": "float({0})",
}
"""Functions by their dotted names; ``Math.max`` and others that take any number are below."""

ANY_NUMBER = {
    "Math.max": "max({*})",
    "Math.min": "min({*})",
    "console.log": "Logger.write({+})",
    "console.error": "Logger.write({+})",
    "console.info": "Logger.write({+})",
    "console.warn": "Logger.write({+})",
}
"""``{*}`` is all arguments, ``{+}`` all of them as one text."""

CONSTRUCTORS = {
    "Date/0": "datetime.now(UTC)",
    "Date/1": "datetime.fromisoformat(str({0}))",
    "Error/0": "RuntimeError()",
    "Error/1": "RuntimeError({0})",
    "TypeError/1": "TypeError({0})",
    "RangeError/1": "ValueError({0})",
    "Array/0": "[]",
    "Object/0": "{{}}",
    "Map/0": "{{}}",
    "Set/0": "set()",
    "Set/1": "set({0})",
}

OF_NUMBERS = {"Date/1": "datetime.fromtimestamp(({0}) / 1000, UTC)"}
"""Constructors that take a number otherwise than a text."""

METHODS = {
    "push/1": "{o}.append({0})",
    "pop/0": "({o}.pop() if {o} else None)",
    "shift/0": "({o}.pop(0) if {o} else None)",
    "unshift/1": "{o}.insert(0, {0})",
    "concat/1": "[*{o}, *{0}]",
    "join/0": '",".join(map(str, {o}))',
    "join/1": "{0}.join(map(str, {o}))",
    "reverse/0": "{o}.reverse()",
    "sort/0": "{o}.sort()",
    "includes/1": "{0} in {o}",
    "forEach/1": "[({0})(each) for each in {o}]",
    "map/1": "[({0})(each) for each in {o}]",
    "filter/1": "[each for each in {o} if ({0})(each)]",
    "find/1": "next((each for each in {o} if ({0})(each)), None)",
    "findIndex/1": "next((i for i, each in enumerate({o}) if ({0})(each)), -1)",
    "some/1": "any(({0})(each) for each in {o})",
    "every/1": "all(({0})(each) for each in {o})",
    "slice/0": "{o}[:]",
    "slice/1": "{o}[{0} :]",
    "slice/2": "{o}[{0} : {1}]",
    "substring/1": "{o}[{0} :]",
    "substring/2": "{o}[{0} : {1}]",
    "substr/1": "{o}[{0} :]",
    "substr/2": "{o}[{0} :][: {1}]",
    "charAt/1": "{o}[{0} :][:1]",
    "charCodeAt/1": "ord({o}[{0}])",
    "at/1": "{o}[{0}]",
    "toLowerCase/0": "{o}.lower()",
    "toUpperCase/0": "{o}.upper()",
    "trim/0": "{o}.strip()",
    "trimStart/0": "{o}.lstrip()",
    "trimEnd/0": "{o}.rstrip()",
    "startsWith/1": "{o}.startswith({0})",
    "endsWith/1": "{o}.endswith({0})",
    "splice/1": "{o}.__delitem__(slice({0}, None))",
    "splice/2": "{o}.__delitem__(slice({0}, {0} + {1}))",
    "padStart/2": "{o}.rjust({0}, {1})",
    "padEnd/2": "{o}.ljust({0}, {1})",
    "repeat/1": "{o} * {0}",
    "split/1": "{o}.split({0})",
    "toString/0": "str({o})",
    "toFixed/1": "format({o}, '.{0}f')",
    "toISOString/0": '{o}.isoformat(timespec="milliseconds").replace("+00:00", "Z")',
    "getTime/0": "int({o}.timestamp() * 1000)",
    "getHours/0": "{o}.hour",
    "getUTCHours/0": "{o}.hour",
    "getMinutes/0": "{o}.minute",
    "getUTCMinutes/0": "{o}.minute",
    "getSeconds/0": "{o}.second",
    "getUTCSeconds/0": "{o}.second",
    "getDate/0": "{o}.day",
    "getUTCDate/0": "{o}.day",
    "getMonth/0": "{o}.month - 1",
    "getUTCMonth/0": "{o}.month - 1",
    "getFullYear/0": "{o}.year",
    "getUTCFullYear/0": "{o}.year",
    "getDay/0": "{o}.isoweekday() % 7",
    "getUTCDay/0": "{o}.isoweekday() % 7",
    "hasOwnProperty/1": "{0} in {o}",
    "keys/0": "{o}.keys()",
    "values/0": "{o}.values()",
    "entries/0": "{o}.items()",
    "flat/0": "[each for inner in {o} for each in inner]",
}
"""Methods by name and number of arguments, of an object that is none of voxpy's."""
METHOD_NAMES = frozenset(entry.partition("/")[0] for entry in METHODS)

BY_KIND = {
    "str": {"indexOf/1": "{o}.find({0})", "concat/1": "{o} + {0}",
            "replace/2": "{o}.replace({0}, {1}, 1)", "replaceAll/2": "{o}.replace({0}, {1})"},
    "list": {"indexOf/1": "({o}.index({0}) if {0} in {o} else -1)"},
    "map": {"get/1": "{o}.get({0})", "set/2": "{o}.__setitem__({0}, {1})", "has/1": "{0} in {o}",
            "delete/1": "{o}.pop({0}, None)", "clear/0": "{o}.clear()", "add/1": "{o}.add({0})"},
}  # fmt: skip
"""Methods whose translation depends on what the object is."""

PROPERTIES = {"length": "len({o})", "size": "len({o})"}

IMPORTED = {
    "json": "import json", "math": "import math", "random": "import random", "re": "import re",
    "time": "import time", "traceback": "import traceback", "trio": "import trio",
    "urllib": "import urllib.parse",
}  # fmt: skip


def imports_for(code: str) -> list[str]:
    """Return the import statements that ``code`` needs, of what the templates name."""
    lines = [line for name, line in IMPORTED.items() if re.search(rf"\b{name}\.\w", code)]
    if re.search(r"\bdatetime\.\w", code):
        lines.append("from datetime import UTC, datetime")
    return sorted(lines, key=lambda line: (line.startswith("from"), line))
