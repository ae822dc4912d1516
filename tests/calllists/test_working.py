"""A list at work: on a host, on virtual time, and through a death."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections import Counter
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from tests.host.serve.conftest import POLL_S, Hosting, hosting, until
from tests.host.serve.test_processes import PATIENCE_S, serving
from voxpy.cli import main
from voxpy.testing import CallKit

__all__ = ["hosting"]  # the fixture

SCENARIO = """
import json
from voxpy import AppEvents, CallList, VoxEngine, set_timeout

@VoxEngine.on(AppEvents.Started)
async def started(event):
    row = json.loads(event.custom_data)
    if row["name"] == "busy":
        await CallList.report_error_async({"code": 486})
    elif row["name"] == "broken":
        raise ValueError("broken")
    elif row["name"] != "quiet":
        CallList.report_result({"hello": row["name"]})
    set_timeout(VoxEngine.terminate, 2000)
"""
ROUTING = """
rules:
  - {name: remind, pattern: remind, scenarios: [echo.py]}
  - {name: other, pattern: other, scenarios: [echo.py]}
api:
  tokens:
    operator: {secret: API_TOKEN}
    crm: {secret: CRM_TOKEN, rules: [other]}
"""
HEADERS = {"authorization": "Bearer open-sesame-1"}
OTHERS = {"authorization": "Bearer open-sesame-2"}
SETUP = {
    "routing": ROUTING,
    "scenario": SCENARIO,
    "environ": {"API_TOKEN": "open-sesame-1", "CRM_TOKEN": "open-sesame-2"},
}


async def test_a_list_is_worked_through(hosting: Hosting, autojump_clock: object) -> None:
    text = "to,name\n+1,Ann\n+2,busy\n+3,broken\n+4,quiet\n+5,Bob\n"
    terms = "rule_name=remind&name=people.csv&at_once=2&retry=1&retry_after=1s"
    async with hosting(**SETUP) as running:
        csv_type = {**HEADERS, "content-type": "text/csv"}
        added = await running.ask("POST", f"/api/lists?{terms}", content=text, headers=csv_type)
        place = f"/api/lists/{added.json()['list_id']}"
        hidden = await running.ask("GET", place, headers=OTHERS)

        async def state() -> str:
            found = await running.ask("GET", place, headers=HEADERS)
            return str(found.json()["result"]["state"])

        most = 0
        while await state() == "running":
            most = max(most, running.calls)
            await trio.sleep(2)
        results = (await running.ask("GET", f"{place}/results", headers=HEADERS)).text
        shown = (await running.ask("GET", "/api/lists", headers=OTHERS)).json()
    assert (added.status_code, hidden.status_code, shown["count"], most) == (201, 404, 0, 2)
    rows = list(csv.DictReader(io.StringIO(results)))
    assert [(r["name"], r["state"], r["attempts"], r["result"]) for r in rows] == [
        ("Ann", "done", "1", '{"hello":"Ann"}'),
        ("busy", "failed", "2", ""),
        ("broken", "failed", "2", ""),
        ("quiet", "done", "1", ""),
        ("Bob", "done", "1", '{"hello":"Bob"}'),
    ]
    assert rows[1]["error"] == '{"code":486}'
    assert rows[2]["error"].startswith("handler error: ValueError: broken")


@pytest.mark.parametrize(
    ("query", "body", "told"),
    [
        ("rule_name=remnid", "to\n1\n", (404, "there is no rule 'remnid'; did you mean 'remind'?")),
        ("rule_name=remind&at_once=x", "to\n1\n", (400, "at_once must be a whole number, not 'x'")),
        ("rule_name=remind&atonce=1", "to\n1\n", (400, "did you mean 'at_once'?")),
        ("rule_name=remind&window=9", "to\n1\n", (400, "the window '9': it is not HH:MM-HH:MM")),
        ("rule_name=remind", "to,name\n1\n", (400, "the list:2: has 1 cells")),
    ],
)
async def test_a_list_that_cannot_be_says_why(
    hosting: Hosting,
    autojump_clock: object,
    query: str,
    body: str,
    told: tuple[int, str],
) -> None:
    async with hosting(**SETUP) as running:
        answer = await running.ask(
            "POST",
            f"/api/lists?{query}",
            content=body,
            headers={**HEADERS, "content-type": "text/csv"},
        )
    assert answer.status_code == told[0]
    assert told[1] in answer.json()["error"]["msg"]


async def test_what_a_scenario_reports(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(SCENARIO) as world:
        one = await world.start({"name": "Ann"})
        two = await world.start({"name": "busy"})
        await world.wait_ended()
    assert one.reports == [("result", {"hello": "Ann"})]
    assert two.reports == [("error", {"code": 486})]
    entry = next(e for e in one.entries if e.name == "CallList: result")
    assert entry.personal["content"] == {"hello": "Ann"}


async def test_a_session_of_no_list_is_told_so(voxpy: CallKit, autojump_clock: object) -> None:
    scenario = (
        SCENARIO.replace("Started", "CallAlerting")
        .replace("json.loads(event.custom_data)", '{"name": "x"}')
        .replace("CallList.report_result(", "print(await CallList.report_result_async(")
        .replace('row["name"]})\n    set', 'row["name"]}))\n    set')
    )
    async with voxpy.world(scenario) as world:
        caller = await world.dial()
        await world.wait_ended()
    assert caller.call.end is not None


def test_a_dry_run_tries_a_campaign(tmp_path: Path) -> None:
    (tmp_path / "out.py").write_text(
        "import json\n"
        "from voxpy import AppEvents, CallEvents, CallList, VoxEngine\n"
        "@VoxEngine.on(AppEvents.Started)\n"
        "def started(event):\n"
        "    call = VoxEngine.call_pstn(json.loads(event.custom_data)['to'], '+1')\n"
        "    def failed(e):\n"
        "        CallList.report_error({'code': e.code})\n"
        "        VoxEngine.terminate()\n"
        "    call.add_event_listener(CallEvents.Connected, lambda e: call.hangup())\n"
        "    call.add_event_listener(CallEvents.Failed, failed)\n"
        "    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())\n"
    )
    (tmp_path / "routing.yaml").write_text(
        "rules: [{name: remind, pattern: remind, scenarios: [out.py]}]\n"
    )
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+1555010{n}\n" for n in range(10)))
    run = [
        "start", "remind", "--list", str(people), "--dry-run", "--json", "--retry", "1",
        "--routing", str(tmp_path / "routing.yaml"),
    ]  # fmt: skip
    told = CliRunner().invoke(main, [*run, "--callee", "+15550103=busy"])
    found = json.loads(told.stdout)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "people.dry-run.csv").read_text())))
    assert found["rows"] == len(rows) == 10
    assert found["counts"]["done"] + found["counts"]["failed"] == 10
    assert [r["error"] for r in rows if r["to"] == "+15550103"] == ['{"code":486}']
    again = CliRunner().invoke(main, [*run, "--callee", "+15550103=busy"])
    assert json.loads(again.stdout)["counts"] == found["counts"], "the same luck"
    assert told.exit_code == 1, "some rows have failed"


@pytest.mark.slow
async def test_a_host_that_is_killed_goes_on_and_calls_nobody_twice(tmp_path: Path) -> None:
    """Two hundred rows, kill -9 in the middle."""
    dialled = tmp_path / "dialled.txt"
    scenario = f"""
import json
from voxpy import AppEvents, CallList, VoxEngine, set_timeout

@VoxEngine.on(AppEvents.Started)
def started(event):
    row = json.loads(event.custom_data)
    with open({str(dialled)!r}, "a") as file:
        file.write(row["to"] + "\\n")
    def over():
        CallList.report_result({{"to": row["to"]}})
        VoxEngine.terminate()
    set_timeout(over, 200)
"""
    kept = {"routing": ROUTING.partition("api:")[0], "scenario": scenario}
    people = "to\n" + "".join(f"+1555{n:07}\n" for n in range(200))
    async with serving(tmp_path, **kept) as first:
        await first.said("listening on")
        added = await first.post(
            "/api/lists?rule_name=remind&at_once=20&retry=1&retry_after=0s",
            content=people,
            headers={"content-type": "text/csv"},
        )
        assert added.status_code == 201, added.text
        await until(lambda: dialled.exists() and dialled.read_text().count("\n") >= 60)
        first.process.send_signal(signal.SIGKILL)
        await first.exit_code()
    async with serving(tmp_path, **kept) as second:
        await second.said("listening on")
        with trio.fail_after(PATIENCE_S):
            while (  # noqa: ASYNC110
                await second.get("/api/lists/1")
            ).json()["result"]["state"] != "done":
                await trio.sleep(POLL_S)
        results = (await second.get("/api/lists/1/results")).text
    rows = list(csv.DictReader(io.StringIO(results)))
    calls = Counter(dialled.read_text().split())
    assert Counter(r["state"] for r in rows) == {"done": 200}
    assert all(calls[r["to"]] <= int(r["attempts"]) <= 2 for r in rows)
    assert any(r["attempts"] == "2" for r in rows), "it was killed in the middle"
