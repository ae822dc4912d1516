"""A ported scenario is a scenario: the whole way from JavaScript to a call in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from trio.testing import MockClock

from voxpy.cli import main
from voxpy.simulation.callerfile import parse_script
from voxpy.testing import CallKit, Reply

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


LIST = """
require(Modules.AI);
const routes = {
  plain: { body: function () { return {}; } },
  named: { body: function (who) { return { who: who }; } },
};
const voice = { voice: VoiceList.Google.he_IL_Wavenet_A };
const waiting = ['hello'];
let cookie = null;

function say(call, text, options) { call.say(text, options); }
function told(message, count) { Logger.write(`${message} ${count}`); }
function report(what) {
  Net.httpRequestAsync('https://app.test/' + what, {method: 'POST', postData: what})
    .then(function (answer) { Logger.write(what + ' ' + answer.code); })
    .catch(function (error) { Logger.write('lost ' + error); });
}

VoxEngine.addEventListener(AppEvents.Started, function () {
  const { to } = JSON.parse(VoxEngine.customData());
  const call = VoxEngine.callPSTN(to, 'default');
  call.addEventListener(CallEvents.Connected, function (event) {
    if (event.headers['X-Never']) Logger.write('never');
    say(call, 'שלום', voice);
    waiting.shift();
    Logger.write('next ' + waiting.shift());
    setTimeout(told, 100, 'timer', 2);
    Logger.write(JSON.stringify([routes.plain.body('Ann'), routes.named.body('Ann')]));
    Net.httpRequest('https://app.test/login', function (answer) {
      for (var i in answer.headers)
        if (answer.headers[i].key == 'Set-Cookie') cookie = answer.headers[i].value;
      Logger.write(cookie);
    });
  });
  call.addEventListener(CallEvents.Disconnected, async (event) => {
    await CallList.reportResult({ result: event });
    VoxEngine.terminate();
  });
});
VoxEngine.addEventListener(AppEvents.Terminating, () => report('over'));
"""


async def test_a_call_of_a_list(voxpy: CallKit, tmp_path: Path, autojump_clock: MockClock) -> None:
    """What public scenarios do, one thing of each kind that once went wrong."""
    file = tmp_path / "list.js"
    file.write_text(LIST, encoding="utf-8")
    result = CliRunner().invoke(main, ["port", str(file)])
    assert "1 places" in result.output  # Modules.AI
    http = {
        "https://app.test/login": Reply(headers={"Set-Cookie": "sid=1"}),
        "POST https://app.test/over": 200,
    }
    people = parse_script(
        'custom_data: x\ncallees: {"+15550177": {steps: [{expect: {heard: שלום}}, {hang_up}]}}',
        file="",
        folder=tmp_path,
    )
    async with voxpy.world(tmp_path / "list.py", http=http, languages=["he"]) as world:
        call = await world.start({"to": "+15550177"}, callees=people.callees)
        await world.wait_ended()
    assert call.result.failure == ""
    assert call.log == ["next None", '[{},{"who":"Ann"}]', "sid=1", "timer 2"]
    ((kind, told),) = call.reports
    assert (kind, told["result"]["name"]) == ("result", "Call.Disconnected")
    assert [r.method for r in world.requests] == ["GET", "POST"]
