"""Forms of older VoxEngine scenarios that are taken as they are: places, names, strings."""

from __future__ import annotations

import pytest

from voxpy.calls.arguments import check_headers
from voxpy.engine.storage import Storage
from voxpy.errors import ScenarioError
from voxpy.testing import CallKit

CALLER = """
- silence: 1
- press: "1"
- wait: {for: hung_up, within_s: 60}
"""


def scenario(body: str, *, more: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        "from voxpy import *\n"
        f"{more}\n"
        "async def answer(event):\n"
        "    call = event.call\n"
        "    call.answer()\n"
        f"{lines}\n"
        "VoxEngine.add_event_listener('Application.CallAlerting', answer)\n"
        "VoxEngine.add_event_listener('Application.Terminating', lambda: Logger.write('ends'))\n"
    )


def test_events_by_their_wire_strings(voxpy: CallKit) -> None:
    body = """
call.add_event_listener("Call.Connected", lambda e: Logger.write(e.name))
call.add_event_listener("Call.Connected", VoxEngine.terminate)
"""
    assert voxpy.call(scenario(body), CALLER).log == ["Call.Connected", "ends"]


def test_a_string_that_is_no_event_says_the_nearest(voxpy: CallKit) -> None:
    body = "call.add_event_listener('Call.Conected', print)"
    with pytest.raises(ExceptionGroup) as failed:
        voxpy.call(scenario(body), CALLER)
    (error,) = failed.value.exceptions
    assert isinstance(error, ScenarioError)
    assert "'Call.Connected'" in str(error)


def test_positions_and_languages_of_older_calls(voxpy: CallKit) -> None:
    body = """
call.say("Hello there.", Language.US_ENGLISH_FEMALE)
await call.wait_event(CallEvents.PlaybackFinished)
call.start_playback("file:///nowhere.mp3", True)
VoxEngine.create_recorder("prefix", True)
other = VoxEngine.call_user("anna", "+15550100", "Bert", {"X-Priority": 1, "X-Test": True})
sip = VoxEngine.call_sip("sip:a@b.example", "bert", "Bert", "secret", "bert", {}, False)
Logger.write(other.number() + " " + sip.number())
call.hangup()
VoxEngine.terminate()
"""
    call = voxpy.call(scenario(body), CALLER)
    assert call.log == ["anna sip:a@b.example", "ends"]


def test_headers_may_be_numbers_and_truths() -> None:
    given = {"X-Priority": 1, "X-Test": True, "x-share": 0.5}
    assert check_headers(given) == {"X-Priority": "1", "X-Test": "true", "x-share": "0.5"}


@pytest.mark.parametrize(
    "say", ["call.say('Привет, мир', None)", "call.say('Hallo', VoiceList.Google.de_DE_Standard_A)"]
)
def test_another_language_is_an_error_and_no_english_noise(voxpy: CallKit, say: str) -> None:
    body = f"""
{say}
over = await call.wait_event(CallEvents.PlaybackFinished)
Logger.write(over.error)
VoxEngine.terminate()
"""
    (told, _) = voxpy.call(scenario(body), CALLER).log
    assert "create_realtime_tts_player" in told


def test_a_menu_by_keys(voxpy: CallKit) -> None:
    body = """
def chosen(digits):
    Logger.write("sales")
    VoxEngine.terminate()
sales = IVRState("sales", {"type": "noinput", "prompt": {"say": "Sales."}}, chosen)
menu = IVRState("menu", {"type": "select", "prompt": {"say": "Press one."},
                         "nextStates": {"1": sales}, "timeout": 3000})
menu.enter(call)
"""
    assert voxpy.call(scenario(body), CALLER).log == ["sales", "ends"]


def test_a_menu_waits_so_long_and_tells_what_it_has(voxpy: CallKit) -> None:
    body = """
def late(digits):
    Logger.write("late " + digits)
    VoxEngine.terminate()
IVRState("pin", {"type": "inputfixed", "inputLength": 4}, None, late).enter(call)
"""
    assert voxpy.call(scenario(body), CALLER).log == ["late 1", "ends"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"type": "selekt"}, "select"),
        ({"type": "select"}, "nextStates"),
        ({"type": "inputfixed"}, "inputLength"),
        ({"type": "noinput", "promt": {}}, "prompt"),
        ({"type": "noinput", "nextState": "x"}, "IVRState"),
    ],
)
def test_a_wrong_menu_says_what_is_wrong(settings: dict[str, object], told: str) -> None:
    from voxpy import IVRState

    with pytest.raises(ScenarioError, match=told):
        IVRState("menu", settings)


def test_request_options_as_an_object(voxpy: CallKit) -> None:
    body = """
options = Net.HttpRequestOptions(method="POST", headers=["X-A: 1"], post_data=[104, 105])
answer = await Net.http_request_async("http://shop.example/order", options)
Logger.write(answer.text)
def then(answer):
    Logger.write(str(answer.code))
    VoxEngine.terminate()
Net.http_request("http://shop.example/order", then, options)
"""
    call = voxpy.call(scenario(body), CALLER, http={"POST http://shop.example/order": "fine"})
    assert call.log == ["fine", "200", "ends"]


class TestStorage:
    def test_outlives_the_session(self, voxpy: CallKit) -> None:
        body = """
before = await ApplicationStorage.get("count")
await ApplicationStorage.put("count", "1", 60)
after = await ApplicationStorage.get("count")
Logger.write(f"{before} {after.value} {(await ApplicationStorage.keys('c*')).keys}")
Logger.write(str((await ApplicationStorage.remove("count")).value))
Logger.write(str(await ApplicationStorage.get("count")))
VoxEngine.terminate()
"""
        call = voxpy.call(scenario(body, more="require(Modules.ApplicationStorage)"), CALLER)
        assert call.log == ["None 1 ['count']", "1", "None", "ends"]

    @pytest.mark.parametrize(
        "wrong",
        ["put('k', 1, 60)", "put('k' * 201, 'v', 60)", "put('k', 'v' * 2001, 60)",
         "put('k', 'v', -1)", "get(7)"],
    )  # fmt: skip
    def test_what_it_does_not_take(self, voxpy: CallKit, wrong: str) -> None:
        with pytest.raises(ExceptionGroup):
            voxpy.call(scenario(f"await ApplicationStorage.{wrong}"), CALLER)

    async def test_entries_end(self, autojump_clock: object) -> None:
        import trio

        storage = Storage()
        await storage.put("a", "1", 10)
        await trio.sleep(9)
        assert await storage.get("a") is not None
        await trio.sleep(2)
        assert await storage.get("a") is None
        assert await storage.keys("*", 10) == []
        storage.close()
