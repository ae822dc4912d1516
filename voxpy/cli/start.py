"""``voxpy start``: sessions without a call, one or a whole list of them, on a running host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voxpy.cli.options import secrets_option
from voxpy.cli.terminal.printing import print_json, say

if TYPE_CHECKING:
    import httpx

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
LOOK_EVERY_S = 1.0
PATIENCE_S = 600.0
"""How long a host that does not answer is waited for while it works on a list: it may restart."""


@click.command("start")
@click.argument("rule", required=False)
@click.option("--data", help="Custom data: text, or JSON, or @FILE.")
@click.option(
    "--list",
    "list_file",
    type=click.Path(path_type=Path),
    help="A session for each row of a CSV file; its first line names the columns, and each row is "
    "the custom data of its session, as a JSON object.",
)
@click.option(
    "--at-once", type=click.IntRange(1), default=5, show_default=True, help="Calls at once."
)
@click.option(
    "--per-minute", type=click.FloatRange(0, min_open=True), help="At most so many begin."
)
@click.option("--window", metavar="HH:MM-HH:MM [ZONE]", help="Calls begin only then, each day.")
@click.option(
    "--retry",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Attempts beyond the first.",
)
@click.option(
    "--retry-after", default="15m", show_default=True, metavar="TIME", help="Between two attempts."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="Where the results go (CSV). Default: beside the list.",
)
@click.option("--detach", is_flag=True, help="Leave the list to the host and return at once.")
@click.option("--watch", type=int, metavar="ID", help="Watch a list that the host has already.")
@click.option("--stop", type=int, metavar="ID", help="Begin no more calls of a list.")
@click.option("--resume", type=int, metavar="ID", help="Go on with a list that was stopped.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Try the list on virtual time with simulated people: no host, no phone, no waiting.",
)
@click.option(
    "--callee",
    "callees",
    multiple=True,
    metavar="DEST=WHAT",
    help="Who answers in a dry run; as for voxpy run. Others are drawn by lot.",
)
@click.option("--seed", default=0, show_default=True, help="Of a dry run's luck.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The host.")
@click.option(
    "--routing",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    show_default=True,
    help="For a dry run.",
)
@secrets_option("secrets_path", "Secrets; API_TOKEN among them opens a host elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
def command(**options: Any) -> None:
    """Start a session of RULE without a call, or one for each row of a list.

    The host must run: voxpy serve. A list is the host's own from then on: it survives the host's
    death, and nobody is called twice in one attempt. Ctrl-C stops watching, not calling.
    """
    if options["dry_run"]:
        raise SystemExit(_dry_run(options))
    from voxpy.project.api import TOKEN_SECRET
    from voxpy.project.secrets import Secrets

    with _Client(options["url"], Secrets(options["secrets_path"]).get(TOKEN_SECRET)) as client:
        raise SystemExit(_run(client, options))


def _run(client: _Client, options: dict[str, Any]) -> int:
    for name, place in (("stop", "stop"), ("resume", "resume")):
        if options[name] is not None:
            client.ask("POST", f"/api/lists/{options[name]}/{place}")
            if name == "stop":
                say(f"list {options[name]} begins no more calls; voxpy start --resume goes on")
                return 0
    watched = options["watch"] if options["watch"] is not None else options["resume"]
    if watched is not None:
        return _watch(client, watched, options)
    if options["rule"] is None:
        raise click.UsageError("which rule? voxpy start RULE; voxpy check lists them")
    if options["list_file"] is not None:
        return _add_list(client, options)
    from voxpy.cli.run import read_data

    data = read_data(options["data"]) if options["data"] is not None else ""
    told = client.ask(
        "POST",
        "/platform_api/StartScenarios",
        json={"rule_name": options["rule"], "script_custom_data": data},
    ).json()
    if options["as_json"]:
        print_json(told)
    else:
        say(f"session     {told['call_session_history_id']}")
        say(f"access URL  {told['media_session_access_secure_url']}")
    return 0


# -- a list on a host ------------------------------------------------------------------------------


def _add_list(client: _Client, options: dict[str, Any]) -> int:
    file: Path = options["list_file"]
    terms = {
        "rule_name": options["rule"],
        "name": str(file),
        "at_once": options["at_once"],
        "per_minute": options["per_minute"],
        "window": options["window"],
        "retry": options["retry"],
        "retry_after": options["retry_after"],
    }
    told = client.ask(
        "POST",
        "/api/lists",
        params={name: str(value) for name, value in terms.items() if value is not None},
        content=_read(file).encode(),
        headers={"content-type": "text/csv"},
    ).json()
    list_id = int(told["list_id"])
    if not options["as_json"]:
        say(
            f"list {list_id}: {told['count']} rows; voxpy start --watch {list_id} looks at it again"
        )
    if options["detach"]:
        if options["as_json"]:
            print_json(told)
        return 0
    return _watch(client, list_id, options)


def _watch(client: _Client, list_id: int, options: dict[str, Any]) -> int:
    """Show how far a list is until it is done; then write what came of it."""
    import time

    try:
        with _Bar(quiet=options["as_json"]) as bar:
            while True:
                found = client.ask("GET", f"/api/lists/{list_id}", patient=True).json()["result"]
                bar.show(found)
                if found["state"] != "running":
                    break
                time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        say(f"the host goes on with list {list_id}; --watch {list_id} looks again, --stop ends it")
        return EXIT_INTERRUPTED
    results = client.ask("GET", f"/api/lists/{list_id}/results", patient=True).text
    return _tell(found, results, options)


def _tell(found: dict[str, Any], results: str, options: dict[str, Any]) -> int:
    file = options["results"] or _beside(options["list_file"] or Path(str(found["name"])))
    file.write_text(results, encoding="utf-8")
    counts = found["counts"]
    if options["as_json"]:
        print_json({**found, "results": str(file)})
    else:
        left = counts["waiting"] + counts["calling"]
        open_ones = f", {left} left (the list is {found['state']})" if left else ""
        say(
            f"{counts['done']} done, {counts['failed']} failed{open_ones}; "
            f"{found['attempts']} attempts; results: {file}"
        )
    return 0 if not counts["failed"] and found["state"] == "done" else EXIT_FAILED


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.results.csv")


def _read(file: Path) -> str:
    from voxpy.errors import ConfigError

    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=str(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from error


class _Bar:
    """How far a list is, on a terminal; nothing where nobody looks."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task: Any = None

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, found: dict[str, Any]) -> None:
        """Show it."""
        counts = found["counts"]
        over = counts["done"] + counts["failed"]
        told = f"{counts['calling']} calling, {counts['failed']} failed"
        if self._task is None:
            self._task = self._progress.add_task("calls", total=found["rows"], told=told)
        self._progress.update(self._task, completed=over, told=told)


# -- a dry run -------------------------------------------------------------------------------------


def _dry_run(options: dict[str, Any]) -> int:
    from functools import partial

    from voxpy.calllists.terms import Terms, Window, parse_seconds, read_rows, write_results
    from voxpy.cli.run import _callees
    from voxpy.errors import nearest
    from voxpy.lab.campaign import Campaign, try_campaign
    from voxpy.project.project import load_project
    from voxpy.simulation.virtual import run_virtual

    if options["rule"] is None or options["list_file"] is None:
        raise click.UsageError("--dry-run needs RULE and --list FILE; one call: voxpy run --data")
    loaded = load_project(options["routing"], options["secrets_path"])
    if loaded.project is None:
        for problem in loaded.problems:
            say(str(problem), err=True)
        return EXIT_WRONG_INPUT
    rules = {rule.name: rule for rule in loaded.project.routing.rules}
    if options["rule"] not in rules:
        raise click.BadParameter(
            f"there is no rule {options['rule']!r}{nearest(options['rule'], rules)}",
            param_hint="RULE",
        )
    settings = rules[options["rule"]].settings
    file: Path = options["list_file"]
    most = settings.limits.custom_data_bytes
    rows = read_rows(_read(file), file=str(file), most_bytes=most)
    campaign = Campaign(
        rule_name=options["rule"],
        program=loaded.project.programs[options["rule"]],
        settings=settings,
        secrets=loaded.project.secrets,
        rows=rows,
        terms=Terms(
            at_once=options["at_once"],
            per_minute=options["per_minute"],
            window=Window.parse(options["window"]) if options["window"] else None,
            retry=options["retry"],
            retry_after_s=parse_seconds(options["retry_after"]),
        ),
        callees=_callees(options),
        seed=options["seed"],
    )
    with _Bar(quiet=options["as_json"]) as bar:
        tried = run_virtual(partial(try_campaign, campaign, lambda p: bar.show(p.to_json())))
        bar.show(tried.progress.to_json())
    found = {**tried.progress.to_json(), "name": str(file), "took_s": round(tried.took_s)}
    for warning, times in sorted(tried.warnings.items(), key=lambda pair: -pair[1])[:5]:
        say(f"{times} times: {warning}", err=True)
    if not options["as_json"]:
        hours, rest = divmod(round(tried.took_s), 3600)
        say(f"tried with simulated people; for real it would take about {hours}:{rest // 60:02} h")
    results = write_results(tried.results, tried.progress.columns)
    file = options["results"] or file.with_name(f"{file.stem}.dry-run.csv")
    return _tell(found, results, {**options, "results": file})


# -- the host --------------------------------------------------------------------------------------


class _Client:
    """Asks a host. What it refuses is a VoxpyError that says why."""

    def __init__(self, url: str, token: str | None) -> None:
        import httpx

        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60.0)
        self._url = url

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, *, patient: bool = False, **more: Any) -> httpx.Response:
        """Return the answer. ``patient``: a host that is not there may come again."""
        import time

        import httpx

        from voxpy.errors import ConnectFailed, RequestFailed

        waited_s = 0.0
        while True:
            try:
                answer = self._client.request(method, path, **more)
                break
            except httpx.TransportError as error:
                if not patient or waited_s >= PATIENCE_S:
                    raise ConnectFailed(
                        f"no host answers at {self._url} ({error}); voxpy serve starts one, "
                        "--url names another"
                    ) from error
            time.sleep(LOOK_EVERY_S)
            waited_s += LOOK_EVERY_S
        if answer.is_success:
            return answer
        try:
            problem = answer.json()["error"]["msg"]
        except (ValueError, KeyError, TypeError):
            problem = f"HTTP {answer.status_code}"
        raise RequestFailed(f"{self._url}: {problem}", code=str(answer.status_code))
