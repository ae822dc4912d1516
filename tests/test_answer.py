"""The user's example, unchanged, on virtual time with a scripted agent."""

from __future__ import annotations

from pathlib import Path

from voxpy.testing.calls import CallKit

ANSWER = Path(__file__).parents[1] / "scenarios" / "answer.py"


def test_greets_answers_and_ends(voxpy: CallKit) -> None:
    call = voxpy.call(
        ANSWER,
        """
        - wait: answered
        - wait: agent_finished
        - say: What are your opening hours today please
        - expect: {heard: "nine to five", within_s: 5}
        - wait: agent_finished
        - hang_up
        """,
        agent=["Hello this is Voxi speaking", "We are open from nine to five"],
    )
    assert call.result.failure == ""
    assert call.log[-1].startswith('{"name":"Call.Disconnected"')
