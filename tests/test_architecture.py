"""The shape of the package: rings, reserved places, sizes. Read from the source, nothing imported.

Where an exception is justified it stands in a list here, with its reason beside it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "voxpy"

CONNECTORS = {
    path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for path in (*PACKAGE.glob("*.py"), *PACKAGE.glob("*/*.py"))
    if " = Service(\n" in path.read_text(encoding="utf-8")
}
"""Each has a file that makes its Service, so that none has to be named here."""

RINGS: list[set[str]] = [
    {"errors"},
    {"text"},
    {"audio"},
    {"wire"},
    {"media"},
    {"engine"},
    {"sockets"},
    {"fleet"},
    {"absent", "constants"},
    {"calllist", "functions", "logger", "modules", "net", "timers"},
    {"applicationstorage", "phonenumber"},
    {"players", "recording"},
    {"call", "calls", "events", "websocket"},  # a call, its parts and its events name each other
    {"amd", "asr", "conferences", "ivr", "silero"},
    {"realtime"},
    CONNECTORS | {"mcp", "pipecat"},  # which share the envelope of events with connectors
    {"voxengine"},
    {""},  # voxpy/__init__.py
    {"pages"},
    {"channels"},
    {"localagent"},
    {"project"},
    {"history"},
    {"calllists", "inspector"},
    {"host"},
    {"simulation"},
    {"port", "testing", "lab"},
    {"cli", "__main__"},
]
"""First part of the module name, lowest ring first; imports go to the same ring or a lower one."""

NOT_AT_ALL = {
    "wire": {"media"},  # protocols know bytes, not who hears them
    "engine": {"wire", "inworld", "channels"},  # it knows neither SIP nor a provider
}

PURE = ("text", "audio", "wire", "media", "channels/providers")
IMPURE_MODULES = set("trio socket ssl time random datetime os logging".split())

NURSERIES = {
    "channels/mediastream/listener.py": "the requests to a provider that place calls",
    "testing/sipphone.py": "the network and the media of a phone, and the phone itself",
    "channels/sip/listener.py": "the calls of an endpoint, around its network",
    "channels/sip/websocket.py": "a phone's socket beside the making of offers",
    "channels/sip/network.py": "what is read, written and timed, and both ways of one connection",
    "fleet/membership.py": "the heartbeat of a host beside the connections to its store",
    "engine/session.py": "the life of a session: io around handlers, and its last words",
    "engine/ending.py": "everything closes at once, each within its own deadline",
    "sockets/framesocket.py": "reader, writer and alarm of one socket",
    "inworld/voice/block.py": "the life of a voice outside a session is a with block",
    "localagent/connection.py": "reader, writer and ticker of one connection",
    "localagent/reading.py": "the reader of a voice's socket beside the voice",
    "localagent/server.py": "the listeners, and the speech engines of each connection",
    "host/sessions.py": "the session beside the writer of its recording",
    "simulation/callees.py": "a simulated callee and its recogniser",
    "channels/mediastream/line.py": "reader and writer of one byte line",
    "channels/mediastream/serving.py": "the reader of a provider's line beside its session",
    "simulation/dialledcall.py": "the caller, its phone and its recording beside each other",
    "simulation/localcall.py": "the agent and the media clock beside a local call",
    "host/supervising.py": "the end of the call beside the socket of who listens in",
    "host/pages.py": "what a page is told beside the reader of its socket",
    "host/api/callbacks.py": "what is being told to other programs",
    "host/relay.py": "both directions of a connection that is another worker's",
    "host/running.py": "signals, the agent and the history beside the host or its workers",
    "host/serve.py": "connections, and around them the media clock and the watch over files",
    "host/workers.py": "the workers, and around them what they are told of each other",
    "simulation/dialin.py": "a provider's clock beside its socket",
    "testing/conformance/realtime.py": "the reader of a session that is being checked",
    "lab/bench/floor.py": "a task per call and two per bridge, with nothing around them",
    "lab/campaign.py": "the media clock and the agent beside a campaign",
    "lab/replay/running.py": "a replayed session beside its media clock and far sides",
    "testing/socketpeer.py": "the reader of a scenario's WebSocket beside who plays its far side",
    "testing/service.py": "both directions of a scripted service's connection",
    "testing/grounds.py": "the sessions of a world, and around them its clock and its service",
    "calllists/working.py": "the attempts that are under way, and what dead processes left",
    "cli/agent.py": "the server beside its notices",
    "cli/call.py": "the signals beside the call",
    "cli/fleet.py": "the connection to Redis beside what is asked of it",
    "cli/run.py": "the screen beside the call",
    "lab/trunkcall.py": "the SIP endpoint beside the session that talks to a real phone",
}

CATCH_ALL = {
    "audio/opus.py": "opuslib raises a bare Exception where there is no libopus",
    "engine/clock.py": "what one call has done in a thread must not cost the others' part of it",
    "engine/faults.py": "contained(): user code and tasks of a session may raise anything",
    "engine/session.py": "the media tick: the clock is shared by all sessions",
    "sockets/framesocket.py": "what handles one socket's messages must not stop the others",
    "channels/browser/webrtc.py": "aiortc raises anything at a description that somebody sent",
    "realtime/tools.py": "a tool may raise anything, and the model must learn of it",
    "localagent/server.py": "one connection's error must not end the others; it is reported",
    "testing/conformance/media.py": "what is checked is anybody's code; the error is the finding",
    "players/speech.py": "a voice is anybody's code, and the call must go on",
    "localagent/listening.py": "a recogniser is anybody's code, and the session must survive it",
    "localagent/speaking.py": "a brain is anybody's code, and the session must survive it",
}

CLOCK_READERS = {
    "lab/bench/pacing.py": "the load generator has no trio loop, whose time the engine's clock is",
    "engine/clock.py": "it is what everybody else asks",
}
CLOCK_READS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.thread_time",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "trio.current_time",
}

# What users see, as wide as VoxEngine's or the service's own vocabulary; each method a few lines.
WIDE_CLASSES = {
    "Call", "RealtimeAPIClient", "RealtimeVoice", "SpeechClient", "VoxEngineNamespace",
}  # fmt: skip
MOST_METHODS = 25
LONGEST_FILE_LINES = 600
MOST_FILES_OF_A_FOLDER = 20
MOST_MODULES_FOR_ONE = 0.3
"""The share of modules that only one other imports."""
BY_NAME = ("cli/", "__main__.py", "channels/providers/", "localagent/services/")


@attrs.frozen
class Import:
    """One import, wherever in the file it stands. ``target`` is a dotted name."""

    module: str
    line: int
    target: str
    for_types_only: bool = False

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.target}"


def sources() -> dict[str, ast.Module]:
    """Return the parsed files of the package by path relative to it."""
    return parsed(PACKAGE)


@cache
def parsed(folder: Path) -> dict[str, ast.Module]:
    return {
        path.relative_to(folder).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


def module_of(file: str) -> str:
    """``engine/clock.py`` -> ``voxpy.engine.clock``."""
    dotted = "voxpy." + file.removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__").removesuffix(".")


@cache
def all_modules() -> set[str]:
    return {module_of(file) for file in sources()}


@cache
def imports_of(file: str) -> tuple[Import, ...]:
    """Return every import of a file: top-level, in functions and under TYPE_CHECKING."""
    return tuple(_imports_of(file))


def _imports_of(file: str) -> Iterator[Import]:
    module = module_of(file)
    package = module if file.endswith("__init__.py") else module.rpartition(".")[0]
    for_types_only = _lines_for_types_only(file)
    for node in ast.walk(sources()[file]):
        typing = isinstance(node, ast.stmt) and node.lineno in for_types_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, typing)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(file, node.lineno, full if full in all_modules() else base, typing)


def _lines_for_types_only(file: str) -> set[int]:
    """Return the lines that stand under ``if TYPE_CHECKING:``."""
    return {
        line
        for node in ast.walk(sources()[file])
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    }


def part_of(module: str) -> str:
    """``voxpy.engine.clock`` -> ``engine``; ``voxpy`` -> the empty string."""
    return module.split(".")[1] if "." in module else ""


def ring_of(part: str) -> int:
    (ring,) = [n for n, parts in enumerate(RINGS) if part in parts]
    return ring


def ours(file: str) -> Iterator[Import]:
    return (i for i in imports_of(file) if i.target.split(".")[0] == "voxpy")


# -- directions ------------------------------------------------------------------------------------


def test_every_part_has_a_ring() -> None:
    assert {part_of(m) for m in all_modules()} <= set[str]().union(*RINGS)


def test_imports_point_downwards() -> None:
    wrong = [
        str(i)
        for file in sources()
        if file != "__init__.py"  # resolves lazily by name, see below
        for i in ours(file)
        if ring_of(part_of(i.target)) > ring_of(part_of(module_of(file)))
    ]
    assert wrong == []


def test_the_package_itself_imports_only_when_asked() -> None:
    body = sources()["__init__.py"].body
    at_import = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {a.name for n in at_import for a in n.names}
    assert names == {"annotations", "ast", "importlib", "os.path", "Any"}


@pytest.mark.parametrize("part", NOT_AT_ALL)
def test_parts_that_must_not_know_each_other(part: str) -> None:
    wrong = [
        str(i)
        for file in sources()
        if part_of(module_of(file)) == part
        for i in ours(file)
        if part_of(i.target) in NOT_AT_ALL[part]
    ]
    assert wrong == []


def test_pure_rings_import_nothing_that_acts() -> None:
    wrong = [
        str(i)
        for file in sources()
        if file.startswith(tuple(f"{place}/" for place in PURE))
        for i in imports_of(file)
        if i.target.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_no_import_cycle() -> None:
    """Imports inside functions count, those under TYPE_CHECKING do not; nor ``voxpy/__init__``.

    What is imported for types alone is gone when the code runs: an event may name the unit that
    posts it. An import put off into a function still runs, and is how a knot is hidden.
    """
    graph = {
        module_of(file): {i.target for i in ours(file) if not i.for_types_only} - {"voxpy"}
        for file in sources()
        if file != "__init__.py"
    }
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    assert len(done) > 50


# -- reserved places -------------------------------------------------------------------------------


def test_nurseries_are_opened_only_where_the_list_says() -> None:
    found = {
        file
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "open_nursery"
    }
    assert found == set(NURSERIES)


def test_everything_is_caught_only_where_the_list_says() -> None:
    found = set()
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                kinds = set(_names(node.type)) if node.type is not None else {"Exception"}
                if "Exception" in kinds:
                    found.add(file)
    assert found == set(CATCH_ALL)


def _names(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id


def test_clocks_are_read_only_where_the_list_says() -> None:
    found = {}
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                dotted = ast.unparse(node)
                if any(dotted == r or dotted.endswith("." + r) for r in CLOCK_READS):
                    found[file] = f"{file}:{node.lineno}: {dotted}"
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                found[file] = f"{file}:{node.lineno}: from time import"
    assert [told for file, told in found.items() if file not in CLOCK_READERS] == []
    assert set(CLOCK_READERS) <= set(found)


# -- sizes -----------------------------------------------------------------------------------------


def test_no_file_is_longer_than_600_lines() -> None:
    lines = {f: len((PACKAGE / f).read_text(encoding="utf-8").splitlines()) for f in sources()}
    assert {f: n for f, n in lines.items() if n > LONGEST_FILE_LINES} == {}


def test_no_folder_has_more_than_20_files() -> None:
    files = Counter(file.rpartition("/")[0] for file in sources())
    assert {f: n for f, n in files.items() if n > MOST_FILES_OF_A_FOLDER} == {}


def test_few_modules_have_but_one_that_imports_them() -> None:
    """A short idea that one neighbour uses stands in that neighbour.

    Commands, phone providers and fakes of services are imported by name from a table, words of the
    vocabulary by ``voxpy`` itself, and a folder's ``__init__`` stands for the folder.
    """
    importers: dict[str, set[str]] = {
        module_of(file): set()
        for file in sources()
        if "/" in file and not file.endswith("__init__.py") and not file.startswith(BY_NAME)
    }
    for file in sources():
        for found in ours(file):
            if found.target in importers:
                importers[found.target].add(file)
    lonely = sorted(module for module, by in importers.items() if len(by) <= 1)
    assert len(lonely) < MOST_MODULES_FOR_ONE * len(importers), lonely


def test_no_class_has_more_than_25_methods() -> None:
    wide = {
        f"{file}:{node.lineno}: {node.name}": methods
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name not in WIDE_CLASSES
        if (methods := len({n.name for n in node.body if isinstance(n, FUNCTIONS)})) > MOST_METHODS
    }
    assert wide == {}


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


# -- public names ----------------------------------------------------------------------------------


CALLED_BY_OTHERS = {"testing/plugin.py": "pytest finds its hooks by name"}
"""Modules whose functions are called from outside by name."""
TABLES = {
    "wire/realtime/events/client_events.py",
    "wire/realtime/events/server_events.py",
}
"""Tables made of their classes: nothing else has to name one."""


def is_public(file: str) -> bool:
    """Whether scenarios and tests import from it: the top level, and each package's front."""
    return "/" not in file or file.endswith("/__init__.py")


def exported(tree: ast.Module) -> list[str] | None:
    """Return what a module lists; None where it lists nothing, or what its stub imports."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            if ast.unparse(node.value) == "sorted(_HOMES)":
                return None
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


def public_definitions(tree: ast.Module) -> set[str]:
    found = {n.name for n in tree.body if isinstance(n, (ast.ClassDef, *FUNCTIONS))}
    return {name for name in found if not name.startswith("_")}


def names_in(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found.add(name)
    return found


def test_public_modules_list_their_names_and_inner_ones_need_no_list() -> None:
    wrong = []
    for file, tree in sources().items():
        names, defined = exported(tree), public_definitions(tree)
        if not is_public(file):
            wrong += [f"{file}: an inner module needs no __all__"] if names is not None else []
        elif names is None:
            wrong += [f"{file}: no __all__"] if defined else []
        else:
            wrong += [f"{file}: {n} is not in __all__" for n in sorted(defined - set(names))]
            missing = sorted(set(names) - names_in(tree) - defined)
            wrong += [f"{file}: {n} is in __all__ and nowhere else" for n in missing]
    assert wrong == []


def test_nothing_public_is_left_unused() -> None:
    tests = parsed(ROOT / "tests")
    used = set().union(*map(names_in, [*sources().values(), *tests.values()]))
    unused = [
        f"{file}: {name} is used nowhere"
        for file, tree in sources().items()
        if not is_public(file) and file not in TABLES and file not in CALLED_BY_OTHERS
        for name in sorted(public_definitions(tree) - used)
    ]
    assert unused == []


# -- tests -----------------------------------------------------------------------------------------


def test_tests_neither_sleep_for_real_nor_mock() -> None:
    wrong = []
    for file, tree in parsed(ROOT / "tests").items():
        wrong += [f"{file}:{n}: mock" for n in _mock_lines(tree)]
        sleeps = [
            *_calls(tree, "time.sleep"),
            *_sleeps_on_the_real_clock(ROOT / "tests" / file, tree),
        ]
        wrong += [f"{file}:{n.lineno}: {ast.unparse(n)}" for n in sleeps]
    assert wrong == []


def _mock_lines(tree: ast.Module) -> list[int]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            if any(n in ("mock", "unittest.mock", "pytest_mock") for n in names):
                found.append(node.lineno)
    return found


def _sleeps_on_the_real_clock(path: Path, tree: ast.Module) -> Iterator[ast.Call]:
    """Yield sleeps in tests without a virtual clock, and in helpers of files that have such."""
    if _runs_virtually(path):
        return
    tests = [n for n in tree.body if isinstance(n, FUNCTIONS) and n.name.startswith("test_")]
    real = [n for n in tests if isinstance(n, ast.AsyncFunctionDef) and not _is_virtual(n)]
    for node in real if len(real) < len(tests) else [tree]:
        yield from (call for call in _calls(node, "trio.sleep") if _positive(call))


def _calls(tree: ast.AST, dotted: str) -> Iterator[ast.Call]:
    module, _, name = dotted.rpartition(".")
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr, value=ast.Name(id=of))):
                if (of, attr) == (module, name):
                    yield node


def _positive(call: ast.Call) -> bool:
    seconds = call.args[0] if call.args else None
    return isinstance(seconds, ast.Constant) and bool(seconds.value)


def _runs_virtually(path: Path) -> bool:
    """Whether the file or a conftest beside or above it puts its tests on a MockClock."""
    beside = [p / "conftest.py" for p in path.parents if ROOT in p.parents]
    texts = [p.read_text(encoding="utf-8") for p in (path, *beside) if p.exists()]
    return any(word in text for text in texts for word in ("MockClock(", "run_virtual("))


def _is_virtual(function: ast.AsyncFunctionDef) -> bool:
    arguments = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    return bool(arguments & {"autojump_clock", "mock_clock", "voxpy"})


# -- docstrings ------------------------------------------------------------------------------------


def test_what_scenario_authors_call_says_what_it_does() -> None:
    """Words of the vocabulary have docstrings; inside, a name that says it all needs none."""
    silent = []
    for file, tree in sources().items():
        if "/" in file:
            continue
        names = set(exported(tree) or ())
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, *FUNCTIONS)) and node.name in names:
                members = node.body if isinstance(node, ast.ClassDef) else []
                asked = [node, *(m for m in members if isinstance(m, FUNCTIONS))]
                silent += [
                    f"{file}:{n.lineno}: {n.name}"
                    for n in asked
                    if not n.name.startswith("_") and ast.get_docstring(n) is None
                    if "overload" not in map(ast.unparse, n.decorator_list)
                ]
    assert silent == []
