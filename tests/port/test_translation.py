"""What JavaScript becomes: fragments, and the ones that are run."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tree_sitter_javascript", reason="needs the extra: port")
pytest.importorskip("black", reason="needs the extra: port")

from voxpy.port import SourceError, port
from voxpy.testing import CallKit


@pytest.mark.parametrize(
    ("source", "python"),
    [
        # names and constants
        ("const maxCalls = 3;", "max_calls = 3"),
        ("let a = null, b = undefined, c = true;", "a = None\nb = None\nc = True"),
        ("const str = 'x';", 'str_ = "x"'),
        ("let callee;", "callee = None"),
        # texts
        ("const a = 'it\\'s \"so\"';", 'a = \'it\\\'s "so"\''),
        ("const n = 1; const a = `n is ${n + 1}!`;", 'n = 1\na = f"n is {n + 1}!"'),
        ("const n = 1; const a = 'n' + n + '{}';", 'n = 1\na = f"n{n}{{}}"'),
        ("const r = {}; const a = `${r.x.y}`;", "r = {}\na = f\"{r['x'].get('y')}\""),
        ("const a = 'a' + 'b';", 'a = "ab"'),
        # objects and lists
        ("const o = {a: 1, 'b c': [2, 3]};", 'o = {"a": 1, "b c": [2, 3]}'),
        ("const a = {}; const o = {...a, a};", 'a = {}\no = {**a, "a": a}'),
        ("const o = {}; const x = o.a;", 'o = {}\nx = o.get("a")'),
        ("const o = {}; o.a = 1; delete o.a;", 'o = {}\no["a"] = 1\no.pop("a", None)'),
        ("const {a, b = 2} = JSON.parse('{}');",
         'import json\n\ngiven = json.loads("{}")\na = given.get("a")\nb = given.get("b", 2)'),
        ("const l = [1]; l.push(2); const n = l.length;", "l = [1]\nl.append(2)\nn = len(l)"),
        # operators
        ("let a = 1; a++; a += 2;", "a = 1\na += 1\na += 2"),
        ("let a = 1; const b = a === 1 && !a || a !== null;",
         "a = 1\nb = a == 1 and not a or a is not None"),
        ("let a = 1; const b = a ?? 2;", "a = 1\nb = a if a is not None else 2"),
        ("let a = 1; const b = a ? 1 : 2;", "a = 1\nb = 1 if a else 2"),
        ("let a; const b = typeof a === 'undefined';", "a = None\nb = a is None"),
        ("let a = 1; let b = a++;", "a = 1\nbefore = a\na += 1\nb = before"),
        # statements
        ("for (let i = 0; i < 3; i++) { f(i); } function f(x) {}",
         "def f(x):\n    pass\n\n\nfor i in range(3):\n    f(i)"),
        ("const o = {a: 1}; for (const k in o) Logger.write(k);",
         'from voxpy import Logger\n\no = {"a": 1}\nfor k in list(o):\n    Logger.write(k)'),
        ("let a = 1; if (a) { a = 2 } else if (a > 3) a = 4; else { a = 5 }",
         "a = 1\nif a:\n    a = 2\nelif a > 3:\n    a = 4\nelse:\n    a = 5"),
        ("let a = 1; switch (a) { case 1: case 2: a = 3; break; default: a = 4 }",
         "a = 1\nif a in (1, 2):\n    a = 3\nelse:\n    a = 4"),
        ("try { throw new Error('no') } catch (e) { Logger.write(e.message) }",
         "from voxpy import Logger\n\ntry:\n    raise RuntimeError(\"no\")\nexcept Exception as e:\n"
         "    Logger.write(str(e))"),
        # functions
        ("const f = (a, b = 2) => a + b;", "def f(a, b=2):\n    return a + b"),
        ("let n = 0; function f() { n = 1 }", "n = 0\n\n\ndef f():\n    global n\n    n = 1"),
        ("function f() { let n = 0; return () => { n += 1; return n } }",
         "def f():\n    n = 0\n\n    def handler():\n        nonlocal n\n        n += 1\n"
         "        return n\n\n    return handler"),
        ("const l = [1].map(x => x * 2);", "l = [(lambda x: x * 2)(each) for each in [1]]"),
        # VoxEngine
        ("require(Modules.Player); VoxEngine.terminate();",
         "from voxpy import VoxEngine\n\nVoxEngine.terminate()"),
        ("setTimeout(() => VoxEngine.terminate(), 500);",
         "from voxpy import VoxEngine, set_timeout\n\nset_timeout(lambda: VoxEngine.terminate(), 500)"),
        ("const c = VoxEngine.callPSTN('1', '2', {followDiversion: true}); c.hangup();",
         'from voxpy import VoxEngine\n\nc = VoxEngine.call_pstn("1", "2", follow_diversion=True)\n'
         "c.hangup()"),
        ("const o = {name: 'x', stereo: true}; VoxEngine.createRecorder(o);",
         'from voxpy import VoxEngine\n\no = {"name": "x", "stereo": True}\n'
         "VoxEngine.create_recorder(**o)"),
    ],
)  # fmt: skip
def test_becomes(source: str, python: str) -> None:
    ported = port(source)
    assert ported.text.strip() == python
    assert not ported.notes


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(port(source).text, names)
    return names


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("let s = 0; for (let i = 10; i > 0; i -= 3) { s += i } let result = s;", 22),
        ("let s = 0, i = 0; do { i++; if (i == 2) continue; s += i } while (i < 4); let result = s;", 8),
        ("let s = ''; for (const [k, v] of Object.entries({a: 1, b: 2})) s += `${k}${v}`; let result = s;",
         "a1b2"),
        ("let result = [3, 1, 2].filter(x => x > 1).map(x => x + 1).join('-');", "4-3"),
        ("let result = 'a,b'.split(',').length + 'abc'.indexOf('c');", 4),
        ("let result = /^\\+?(\\d+)$/.test('+123') && '1-2-3'.replace(/-/g, '');", "123"),
        ("class A { constructor(n) { this.n = n } twice() { return this.n * 2 } }"
         "class B extends A { constructor() { super(4) } get half() { return this.n / 2 } }"
         "const b = new B(); let result = b.twice() + b.half;", 10),
        ("function f(a, b) { return b === undefined ? a : a + b } let result = f(1) + f(1, 2);", 4),
        ("let result = early(); function early() { return later() } function later() { return 7 }", 7),
        ("const counters = {}; counters.a = (counters.a || 0) + 1; let result = counters.a;", 1),
        ("let result = (function () { return 5 })();", 5),
        ("let n = 0; const next = () => ++n; next(); let result = next();", 2),
        ("const f = ([a, b], {c, d: {e}}) => a + b + c + e; let result = f([1, 2], {c: 3, d: {e: 4}});",
         10),
        ("let result = `${'a'.toUpperCase()}-${(1.005).toFixed(1)}-${[1, 2].includes(2)}`;",
         "A-1.0-True"),
        ("let x = {a: {b: 1}}; let result = x?.a?.b ?? x?.c?.d ?? 0;", 1),
        ("let result = ''; switch ('b') { case 'a': result = 1; break; case 'b': { result = 2; break } }", 2),
    ],
)  # fmt: skip
def test_does_the_same(source: str, result: Any) -> None:
    assert run(source)["result"] == result


def test_a_handler_is_named_after_its_event_and_knows_its_class() -> None:
    ported = port(
        """
        // Reads the digits.
        VoxEngine.addEventListener(AppEvents.CallAlerting, ({call}) => {
          call.addEventListener(CallEvents.ToneReceived, (e) => Logger.write(e.tone));
          call.addEventListener(CallEvents.Disconnected, gone);
          call.handleTones(true);
          call.answer();
        });
        function gone(event) { Logger.write('after ' + event.duration); VoxEngine.terminate(); }
        """
    )
    assert not ported.notes
    assert ported.text.startswith('"""Reads the digits."""\n')
    assert (
        "def on_call_alerting(event: AppEvents.CallAlerting):\n    call = event.call" in ported.text
    )
    assert "lambda e: Logger.write(e.tone)" in ported.text
    assert "def gone(event: CallEvents.Disconnected):" in ported.text


def test_an_async_function_that_nobody_awaits_is_begun() -> None:
    text = port(
        "async function ask() {} function f() { ask() } async function g() { await ask() }"
    ).text
    assert "set_timeout(ask)" in text
    assert "await ask()" in text


def test_what_cannot_be_translated_is_marked_and_told() -> None:
    ported = port("let a = 1;\nPromise.race([a]);\nVoxEngine.enqueueTask({});\n")
    assert [note.line for note in ported.notes] == [2, 3]
    assert "Promise.race" in ported.notes[0].what
    assert "# PORT: line 2" in ported.text
    assert "#     Promise.race([a])" in ported.text
    compile(ported.text, "ported", "exec")


@pytest.mark.parametrize("source", ["const = 3;", "if (a {", "function ("])
def test_what_is_no_javascript_is_an_error_with_its_line(source: str) -> None:
    with pytest.raises(SourceError, match="line 2"):
        port("\n" + source)


def test_what_voxpy_lacks_is_not_imported_and_texts_of_events_are_texts() -> None:
    ported = port(
        """
        VoxEngine.addEventListener(AppEvents.CallAlerting, (e) => {
          const to = e.destination.substring(1).toUpperCase();
          AI.createDialogflow({ lang: to });
        });
        """
    )
    assert "to = e.destination[1:].upper()" in ported.text
    assert "from voxpy import AppEvents, VoxEngine\n" in ported.text
    assert "Dialogflow" in ported.notes[0].what


def test_comments_stay_where_they_were() -> None:
    text = port(
        "// about a\nlet a = 1; // one\n\n/* two\n * lines */\na = {b: 2, // bee\n c: 3};"
    ).text
    assert text == (
        '"""about a"""\n\na = 1  # one\n\n# two\n# lines\na = {\n    "b": 2,  # bee\n    "c": 3,\n}\n'
    )


PROMISES = """
let asked = 0;
function price(item) {
  return Net.httpRequestAsync('https://shop.test/' + item).then(function (answer) {
    asked += 1;
    return JSON.parse(answer.text);
  }).catch(err => { Logger.write('no price: ' + err); return null; });
}
function spoken(call, words) {
  return new Promise((done, failed) => {
    call.addEventListener(CallEvents.PlaybackFinished, () => done('said ' + words));
    call.addEventListener(CallEvents.Disconnected, () => failed('gone'));
    call.say(words);
  });
}
VoxEngine.addEventListener(AppEvents.CallAlerting, async ({call}) => {
  call.answer();
  await call.waitEvent(CallEvents.Connected);
  price('tea').then(found => found.dollars)
    .then(dollars => spoken(call, dollars + ' dollars'))
    .then(told)
    .finally(() => { over = true; Logger.write(`asked ${asked}`); VoxEngine.terminate(); });
});
function told(text) { Logger.write(text); }
"""


def test_promises_are_awaited() -> None:
    ported = port(PROMISES)
    assert not ported.notes
    price = ported.text[
        ported.text.index("async def price") : ported.text.index("async def spoken")
    ]
    assert (
        price.strip()
        == """async def price(item):
    global asked
    try:
        answer = await Net.http_request_async(f"https://shop.test/{item}")
        asked += 1
        return json.loads(answer.text)
    except Exception as err:
        Logger.write(f"no price: {err}")
        return None"""
    )
    assert "over = None" in ported.text  # never declared


async def test_chains_of_promises_do_what_they_did(voxpy: CallKit, autojump_clock: object) -> None:
    http = {"https://shop.test/tea": {"dollars": 3}}
    async with voxpy.world(port(PROMISES).text, http=http) as world:
        await world.dial()
        await world.wait_ended()
    assert world.log == ["said 3 dollars", "asked 1"]


async def test_of_two_functions_of_then_one_is_called(
    voxpy: CallKit, autojump_clock: object
) -> None:
    source = """
    async function ask(what) { if (what == 'bad') throw new Error('no'); return what; }
    VoxEngine.addEventListener(AppEvents.CallAlerting, async (e) => {
      for (const what of ['good', 'bad'])
        await ask(what).then(a => Logger.write('yes ' + a), b => Logger.write('failed ' + b));
      VoxEngine.terminate();
    });
    """
    async with voxpy.world(port(source).text) as world:
        await world.dial()
        await world.wait_ended()
    assert world.log == ["yes good", "failed no"]


def test_names_of_earlier_voxengines_become_todays() -> None:
    text = port(
        "ElevenLabs.createConversationalAIClient({agentId: 'a', xiApiKey: 'k'}).then(c => {"
        "c.addEventListener(ElevenLabs.ConversationalAIEvents.Ping, (e) => Logger.write(e)) });"
    ).text
    assert "ElevenLabs.create_agents_client(" in text
    assert "ElevenLabs.AgentsEvents.Ping" in text
