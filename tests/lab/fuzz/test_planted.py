"""Bugs planted in scenarios/answer.py, each a few changed lines: random callers find them all."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import pytest

from voxpy.lab.fuzz.hunt import hunt
from voxpy.lab.fuzz.perform import Conditions, perform

ORIGINAL = Path(__file__).parents[3] / "scenarios" / "answer.py"
FOUND_WITHIN_CALLS = 2000
MOST_STEPS = 5


@attrs.frozen(kw_only=True)
class Planted:
    """What is changed, and the rule that this breaks."""

    breaks: str
    changes: tuple[tuple[str, str], ...]

    @property
    def source(self) -> str:
        """The scenario with the bug in it."""
        text = ORIGINAL.read_text(encoding="utf-8")
        for old, new in self.changes:
            assert text.count(old) == 1, f"answer.py has changed: {old!r}"
            text = text.replace(old, new)
        return text


RESULT_TWICE = """
        def use_tool(call_id: str) -> None:
            output = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
            client.conversation_item_create({"item": output})
            client.response_create({})

        events = Inworld.RealtimeAPIEvents
        client.add_event_listener(
            events.ResponseFunctionCallArgumentsDone, lambda e: use_tool(e.data.payload["call_id"])
        )

        def item_done(event: Inworld.RealtimeAPIEvents.ResponseOutputItemDone) -> None:
            item = event.data.payload["item"]
            if item["type"] == "function_call":
                use_tool(item["call_id"])

        client.add_event_listener(events.ResponseOutputItemDone, item_done)
"""

PLANTED = {
    "the greeting is repeated on a second SessionUpdated": Planted(
        breaks="one greeting",
        changes=(("            if greeted:\n                return\n", ""),),
    ),
    "barge-in without clearing": Planted(
        breaks="no stale audio",
        changes=(("            client.output_audio_buffer_clear({})\n", ""),),
    ),
    "nobody takes the place of an agent that is gone": Planted(
        breaks="nobody is left alone",
        changes=(("            on_web_socket_close=terminate,\n", ""),),
    ),
    "it hangs up two seconds into the call": Planted(
        breaks="no goodbye is cut",
        changes=(
            (
                "            VoxEngine.send_media_between(call, client)\n",
                "            VoxEngine.send_media_between(call, client)\n"
                "            set_timeout(call.hangup, 1000)\n",
            ),
            ("VoxEngine, require", "VoxEngine, require, set_timeout"),
        ),
    ),
    "no terminate on Disconnected": Planted(
        breaks="the session ends",
        changes=(("    call.add_event_listener(CallEvents.Disconnected, terminate)\n", ""),),
    ),
    "the client is never closed": Planted(
        breaks="clients are closed",
        changes=(("        if agent is not None:\n            agent.close()\n", ""),),
    ),
    "terminate is not idempotent": Planted(
        breaks="nothing is sent twice",
        changes=(
            (
                "    def terminate(event: object = None)",
                "    async def terminate(event: object = None)",
            ),
            ("        terminate({", "        await terminate({"),
            (
                "            agent.close()\n        VoxEngine.terminate()\n",
                "            agent.close()\n"
                "        url = 'https://billing.test/calls'\n"
                "        await Net.http_request_async(url, method='POST', post_data=call.id())\n"
                "        VoxEngine.terminate()\n",
            ),
            ("Modules, VoxEngine, require", "Modules, Net, VoxEngine, require"),
        ),
    ),
    "a tool result is sent twice": Planted(
        breaks="one result per tool call",
        changes=(
            (
                '        "type": "realtime",  #',
                '        "tools": [{"type": "function", "name": "look_up", "parameters": {}}],\n'
                '        "type": "realtime",  #',
            ),
            ("\n        events = Inworld.RealtimeAPIEvents\n", RESULT_TWICE),
        ),
    ),
    "a handler blocks for more than half a second": Planted(
        breaks="no handler blocks",
        changes=(
            (
                "            if event.transcript:\n"
                '                Logger.write(f"===USER==> {event.transcript}")\n',
                "            time.sleep(0.6)\n",
            ),
        ),
    ),
    "a secret is written to the log": Planted(
        breaks="secrets stay secret",
        changes=(
            (
                '            Logger.write("===Inworld.SessionCreated===")\n',
                '            Logger.write(VoxEngine.get_secret_value("INWORLD_API_KEY") or "")\n',
            ),
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_and_made_small(bug: str) -> None:
    planted = PLANTED[bug]
    conditions = Conditions(scenario=planted.source)
    hunted = hunt(conditions, calls=FOUND_WITHIN_CALLS, shrink_s=math.inf)
    failure = hunted.failure
    assert failure is not None, f"not found in {hunted.calls} calls"
    assert failure.violations[0].rule == planted.breaks
    assert len(failure.plan.steps) <= MOST_STEPS
    assert "steps:" in failure.yaml
    assert perform(failure.plan, Conditions(scenario=ORIGINAL)).violations == []
