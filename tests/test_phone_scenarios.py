"""The menu, the agent that hands over, and the call that goes out, where things go otherwise.

Their own callers (scenarios/callers) are played by ``voxpy test``, see tests/cli/test_test.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.simulation.callerfile import parse_script
from voxpy.testing import CallKit, CallTool

SCENARIOS = Path(__file__).parents[1] / "scenarios"
MENU = SCENARIOS / "ivr.py"
WANTS_A_PERSON = """
callees: {mary: %s}
steps:
- wait: answered
- expect: {heard: hello, within_s: 5}
- say: A person please
- expect: {heard: nobody there, within_s: 60}
- hang_up
"""


def test_the_menu_gives_up_on_who_cannot_be_understood(voxpy: CallKit) -> None:
    steps = "- wait: answered\n" + "- expect: {heard: repair, within_s: 40}\n- press: '9'\n" * 3
    call = voxpy.call(MENU, steps + "- wait: {for: hung_up, within_s: 40}")
    assert call.result.failure == ""
    assert [line for line in call.log if "wants" in line] == ["the caller wants '9'"] * 3
    assert "goodbye" in call.transcript[-1].text.lower()


def test_the_menu_says_goodbye_to_who_wants_nothing_more(voxpy: CallKit) -> None:
    steps = "- wait: answered\n- press: '1'\n- wait: {for: hung_up, within_s: 60}"
    call = voxpy.call(MENU, steps)
    assert call.result.failure == ""
    assert call.log == ["the caller wants '1'", "the caller wants ''"]


def test_an_unknown_ticket(voxpy: CallKit) -> None:
    steps = "- wait: answered\n- press: '2'\n- expect: {heard: hash key, within_s: 10}\n"
    steps += "- press: '99#'\n"
    steps += "- expect: {heard: do not know, within_s: 10}\n- hang_up"
    call = voxpy.call(MENU, steps)
    assert call.result.failure == ""
    assert "ticket 99" in call.log


@pytest.mark.parametrize(
    "mary",
    [
        "busy",
        "{steps: [{expect: {heard: press one, within_s: 20}}, {press: '2'}, {wait: hung_up}]}",
        "{steps: [{expect: {heard: press one, within_s: 20}}, hang_up]}",
    ],
    ids=["busy", "another key", "hangs up"],
)
def test_who_is_not_taken_stays_with_the_agent(voxpy: CallKit, mary: str) -> None:
    agent: list[str | CallTool] = [
        "hello",
        CallTool("transfer_to_human", {"reason": "an invoice"}),
        "nobody there",
    ]
    call = voxpy.call(SCENARIOS / "transfer.py", WANTS_A_PERSON % mary, agent=agent)
    assert call.result.failure == ""
    (tool,) = call.tools
    assert "nobody is free" in str(tool.result)


async def test_what_has_become_of_a_call_that_goes_out(
    voxpy: CallKit, autojump_clock: object
) -> None:
    text = (
        "custom_data: x\ncallees: {'+15550188': {steps: [{say: 'yes hello'}, "
        "{expect: {heard: press two, within_s: 20}}, {press: '2'}, {wait: hung_up}]}}"
    )
    callees = parse_script(text, file="callee.yaml", folder=SCENARIOS).callees
    async with voxpy.world(SCENARIOS / "outbound.py") as world:
        call = await world.start({"to": "+15550188", "name": "Ann"}, callees=callees)
        answered = await call.request("/", "")
        assert answered.body == b'{"outcome":"calling"}'
        await world.wait_ended(within_s=60)
    assert world.log == [f"outcome: {word}" for word in ("calling", "answered", "cancelled")]


@pytest.mark.parametrize(
    ("callee", "told"),
    [
        ("busy", "failed, 486 Busy Here"),
        (
            "{steps: [{say: 'you have reached ann please leave a message'}, stay_on]}",
            "left a message",
        ),
        ("{steps: [{say: 'yes hello'}, hang_up]}", "hung up before the question"),
        ("{steps: [{say: 'yes hello'}, {silence: 5}, hang_up]}", "no answer to the question"),
    ],
    ids=["busy", "machine", "hangs up", "does not listen"],
)
def test_who_ordered_the_call_is_told_how_it_went(voxpy: CallKit, callee: str, told: str) -> None:
    head = f"callees: {{'+15550188': {callee}}}\nsteps:\n- wait: answered\n"
    steps = f"- expect: {{heard: '{told}', within_s: 60}}\n- wait: hung_up"
    call = voxpy.call(SCENARIOS / "outbound.py", head + steps)
    assert call.result.failure == ""
    assert call.log[-1] == f"outcome: {told}"
