"""A ported scenario is a scenario: the whole way from JavaScript to a call in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from trio.testing import MockClock

from voxpy.cli import main
from voxpy.testing import CallKit

pytest.importorskip("tree_sitter_javascript", reason="needs the extra: port")
pytest.importorskip("black", reason="needs the extra: port")

AGENT = """
/**
 * A travel desk: a service speaks, the caller may interrupt it, 0 ends the call.
 */
require(Modules.Inworld);

const OPTIONS = { stereo: true };
let turns = 0;

VoxEngine.addEventListener(AppEvents.CallAlerting, async ({ call }) => {
  let client;
  const stop = (event) => {
    Logger.write(`===over after ${turns} turns=== ${event ? event.name : 'by key'}`);
    client?.close();
    VoxEngine.terminate();
  };
  call.addEventListener(CallEvents.Disconnected, stop);
  call.addEventListener(CallEvents.ToneReceived, (e) => {
    if (e.tone === '0') stop();
  });
  call.handleTones(true);
  call.answer();
  call.record(OPTIONS);
  try {
    client = await Inworld.createRealtimeAPIClient({
      apiKey: VoxEngine.getSecretValue('INWORLD_API_KEY'),
      sessionKey: `desk-${Date.now()}`,
      onWebSocketClose: stop,
    });
    client.addEventListener(Inworld.RealtimeAPIEvents.SessionCreated, () => {
      client.sessionUpdate({ session: { instructions: 'You sell trips.' } });
    });
    client.addEventListener(Inworld.RealtimeAPIEvents.SessionUpdated, () => {
      VoxEngine.sendMediaBetween(call, client);
      client.responseCreate({});
    });
    client.addEventListener(
      Inworld.RealtimeAPIEvents.ResponseOutputAudioTranscriptDone,
      (event) => {
        turns += 1;
        const text = event?.data?.payload?.transcript || '';
        Logger.write('AGENT ' + text);
      },
    );
  } catch (error) {
    Logger.write(error.message);
    stop();
  }
});
"""


def port_file(folder: Path, source: str) -> Path:
    file = folder / "desk.voxengine.js"
    file.write_text(source, encoding="utf-8")
    result = CliRunner().invoke(main, ["port", str(file)])
    assert result.exit_code == 0, result.output
    assert "places" not in result.output
    return folder / "desk.py"


async def test_an_agent_scenario(voxpy: CallKit, tmp_path: Path, autojump_clock: MockClock) -> None:
    scenario = port_file(tmp_path, AGENT)
    async with voxpy.world(scenario, agent=["Where shall it go?", "To the sea."]) as world:
        caller = await world.dial()
        await caller.wait_hears("where shall it go")
        await caller.say("Somewhere warm.")
        await caller.wait_hears("to the sea")
        caller.press("0")
        await world.wait_ended()
    assert "AGENT To the sea." in world.log
    assert "===over after 2 turns=== by key" in world.log


def test_it_does_not_replace_a_file_unasked(tmp_path: Path) -> None:
    port_file(tmp_path, "VoxEngine.terminate();")
    again = ["port", str(tmp_path / "desk.voxengine.js")]
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert CliRunner().invoke(main, [*again, "--force"]).exit_code == 0
    printed = CliRunner().invoke(main, [*again, "-o", "-"]).output
    assert "VoxEngine.terminate()" in printed
