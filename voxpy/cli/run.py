"""``voxpy run``: one local call, now."""

from __future__ import annotations

import functools
import secrets
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from voxpy.cli.options import agent_engines, secrets_option

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
BROWSER_PORT = 8088
"""The same each time if it is free: that it may hear the microphone, a browser keeps by address."""
UNUSED_IN_BROWSER = ("caller", "callees", "fast", "play", "mic", "as_json", "verbose")


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--caller",
    type=click.Path(path_type=Path),
    help="A caller's script (YAML) or a WAV file to play. Default: callers/<scenario>.yaml beside "
    "the scenario, or else a polite caller.",
)
@click.option(
    "--callee",
    "callees",
    multiple=True,
    metavar="DEST=WHAT",
    help="Who answers when the scenario calls DEST (a pattern): a callee's script (YAML), a WAV "
    "file, answer, busy or no_answer. May be repeated; goes before the caller's own `callees:`. "
    "Anybody else rings for a second and says hello.",
)
@click.option(
    "--data",
    help="Start the session without a call, with this custom data: text, or JSON, or @FILE. The "
    "scenario then calls its callees.",
)
@click.option("--from", "callerid", help="The caller's number.")
@click.option("--to", "destination", help="The number that is called.")
@click.option(
    "--trunk",
    metavar="NAME",
    help="Call a real phone, at --to, by this trunk of routing.yaml; whoever picks up is the "
    "caller. `direct`: --to is the SIP address of a softphone, and no trunk is needed. With --data "
    "the scenario calls out by the trunk itself.",
)
@click.option(
    "--routing",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    show_default=True,
    help="Where the trunk stands.",
)
@click.option(
    "--agent",
    help="local, inworld (each service at its own address), or the ws:// URL of a server. Default: "
    "local, unless a key is set that the scenario asks for (INWORLD_API_KEY if it asks for none).",
)
@click.option(
    "--fast", is_flag=True, help="Run on virtual time: the same call, as fast as it goes."
)
@click.option(
    "--play/--no-play",
    default=None,
    help="Play the call on the loudspeaker. Default: if the play extra and a device are there.",
)
@click.option("--mic", is_flag=True, help="Be the caller yourself, at the microphone.")
@click.option(
    "--browser",
    is_flag=True,
    help="Be the caller yourself, in the browser: opens a phone and shows each call as it happens. "
    "A changed scenario counts from the next call on.",
)
@click.option("--llm", metavar="URL", help="Let an OpenAI-compatible chat endpoint do the talking.")
@click.option("--llm-model", default="gpt-4o-mini", show_default=True, help="Its model.")
@click.option(
    "--topics", type=click.Path(path_type=Path), help="What the local agent knows (YAML)."
)
@secrets_option("secrets_path", "Secrets, as NAME=value lines.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(".voxpy"),
    show_default=True,
    help="Where the session's folder goes.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show every event and log line.")
@click.option("--json", "as_json", is_flag=True, help="Print only the call record, as JSON.")
def command(**options: Any) -> None:
    """Call SCENARIO(s) with a simulated caller and show the call as it happens.

    With --trunk the phone at --to is called, and whoever picks up is the caller.

    With --data nobody calls: the scenario is started, as over the API, and may call others.

    Several scenarios run in one namespace, in order, as in one routing rule.
    """
    # Imported here: `voxpy --help` must not wait for the media engine.
    if options["browser"]:
        _serve_one(options)
        return
    import trio

    from voxpy.cli.terminal.screen import Screen

    screen = Screen(verbose=options["verbose"], quiet=options["as_json"])
    call = _plan(options, screen)
    if call.agent == "local" and _answers_are_canned(options, call.script):
        screen.hint(
            "the local agent's answers are canned: its topics, and plain facts of your "
            "instructions; --topics FILE or --llm URL brings others"
        )
    run = functools.partial(_run, call, screen)
    try:
        if options["fast"]:
            from voxpy.simulation.virtual import run_virtual

            result = run_virtual(run)
        else:
            result = trio.run(run)
    finally:
        call.history.close()
        if call.sound is not None:
            call.sound.close()
    if result is None:
        screen.stopped()
        raise SystemExit(EXIT_INTERRUPTED)
    if options["as_json"]:
        from voxpy.cli.terminal.printing import print_json

        print_json(result.record.to_json())
    else:
        screen.finish(result)
    raise SystemExit(_exit_code(result))


def _plan(options: dict[str, Any], screen: Any) -> Any:
    from voxpy.engine.loader import compile_scenarios
    from voxpy.history.history import History
    from voxpy.project.secrets import Secrets
    from voxpy.simulation.callerfile import default_script, read_script
    from voxpy.simulation.localcall import LocalCall
    from voxpy.simulation.script import CallerScript
    from voxpy.simulation.service import ServiceScript
    from voxpy.simulation.steps import StayOn, Wait

    scenarios = options["scenarios"]
    program = compile_scenarios(scenarios)
    caller = options["caller"]
    if options["data"] is not None:
        data = read_data(options["data"])
        given_script = read_script(caller) if caller is not None else default_script(scenarios[0])
        script = attrs.evolve(given_script, custom_data=data, steps=())
    elif options["mic"]:
        script = CallerScript(steps=(Wait(what="answered"), StayOn()), may_be_refused=True)
    else:
        script = read_script(caller) if caller is not None else default_script(scenarios[0])
    given = {k: options[k] for k in ("callerid", "destination") if options[k] is not None}
    known = Secrets(options["secrets_path"])
    scripted = script.service != ServiceScript() or script.speech == "tones"
    real = not scripted and _has_key(scenarios, known)
    agent = options["agent"] or ("inworld" if real else "local")
    if agent not in ("local", "inworld") and not agent.startswith(("ws://", "wss://")):
        raise click.BadParameter(
            f"{agent!r} is not local, inworld or a ws:// or wss:// URL", param_hint="--agent"
        )
    return LocalCall(
        program=program,
        script=attrs.evolve(script, callees=(*_callees(options), *script.callees), **given),
        agent=agent,
        session_id=f"local-{secrets.token_hex(4)}",
        secrets=known,
        base=options["out"],
        make_engines=functools.partial(agent_engines, options),
        sound=None if options["trunk"] else _sound(options, screen),
        history=History(options["out"]),
        instead=_trunk_call(options, known) if options["trunk"] else None,
    )


def _trunk_call(options: dict[str, Any], known: Any) -> Any:
    """Return what calls the real phone. Raises UsageError for what does not go together."""
    from voxpy.channels.sip.settings import SipTrunk
    from voxpy.errors import nearest
    from voxpy.lab.trunkcall import DIRECT, TrunkCall
    from voxpy.project.project import load_project

    name, to, data = options["trunk"], options["destination"], options["data"]
    wrong = [f"--{n}" for n in ("fast", "mic", "caller", "callees") if options[n]]
    if wrong:
        raise click.UsageError(f"--trunk calls a real phone: it goes with no {', '.join(wrong)}")
    if data is None and not to:
        raise click.UsageError("--trunk calls a real phone: say which, --to +15550100")
    trunk = None
    if name == DIRECT:
        if data is None and "@" not in to:
            raise click.BadParameter(f"{to!r} is no SIP address: user@host", param_hint="--to")
    else:
        loaded = load_project(options["routing"], known)
        if loaded.project is None:
            raise click.BadParameter(
                "; ".join(str(problem) for problem in loaded.problems), param_hint="--routing"
            )
        found = {t.name: t for t in loaded.project.routing.trunks}
        by_name = found.get(name)
        if by_name is None:
            known_ones = f"; known are {', '.join([*found, DIRECT])}"
            raise click.BadParameter(
                f"{options['routing']} has no trunk {name!r}{nearest(name, found) or known_ones}",
                param_hint="--trunk",
            )
        if not isinstance(by_name, SipTrunk):
            raise click.BadParameter(
                f"trunk {name!r} calls by its provider's API, which must reach this host: use "
                "voxpy serve --public-url",
                param_hint="--trunk",
            )
        trunk = by_name
    caller = options["callerid"] or ""
    return TrunkCall(to=to or "", trunk=trunk, callerid=caller, data=data).run


def read_data(given: str) -> str:
    """Return what ``--data`` gives: the text itself, or of ``@FILE`` what stands there."""
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--data") from None


def _has_key(scenarios: Any, known: Any) -> bool:
    """Whether a service's key is there: one that the scenario asks for, or else Inworld's."""
    from voxpy.project.scenario import read_scenario

    asked = {use.name for path in scenarios for use in read_scenario(path).secrets}
    keys = {name for name in asked if name.endswith("_API_KEY")} or {"INWORLD_API_KEY"}
    return any(known.get(name) for name in keys)


def _answers_are_canned(options: dict[str, Any], script: Any) -> bool:
    """Whether nobody brought answers: no model, no topics, no script."""
    scripted = script.service is not None and script.service.says
    return script.speech == "real" and not (scripted or options["llm"] or options["topics"])


def _callees(options: dict[str, Any]) -> list[Any]:
    from voxpy.simulation.callerfile import read_callee

    callees = []
    for given in options["callees"]:
        destination, equals, what = given.rpartition("=")
        if not (destination and equals and what):
            raise click.BadParameter(f"{given!r} is not DEST=WHAT", param_hint="--callee")
        callees.append(read_callee(destination, what))
    return callees


def _sound(options: dict[str, Any], screen: Any) -> Any:
    """Open the sound card if it is asked for, or simply there; None for a call in silence."""
    from voxpy.errors import EngineMissing
    from voxpy.simulation.soundcard import open_sound_card

    if options["fast"] and (options["play"] or options["mic"]):
        raise click.UsageError(
            "--fast runs on virtual time: it can be neither played nor spoken to"
        )
    asked = options["play"] or options["mic"]
    if options["fast"] or (not asked and (options["as_json"] or options["play"] is False)):
        return None
    try:
        card = open_sound_card(microphone=options["mic"])
    except EngineMissing as error:
        if asked:
            raise
        screen.note(f"not playing the call: {error}. The recording will have it.")
        return None
    if options["mic"]:
        screen.note("you are the caller: speak when the agent has greeted you; Ctrl-C hangs up")
    return card


async def _run(call: Any, screen: Any) -> Any:
    """Return the result, or None if the call was stopped at once."""
    import trio

    from voxpy.simulation.localcall import run_local_call

    result = None
    async with trio.open_nursery() as nursery:
        person = call.sound if call.sound is not None and call.sound.microphone else None
        nursery.start_soon(_obey_signals, screen, nursery.cancel_scope, person)
        nursery.start_soon(screen.remind)
        result = await run_local_call(call, screen)
        nursery.cancel_scope.cancel()
    return result


async def _obey_signals(screen: Any, everything: Any, person: Any) -> None:
    """First Ctrl-C: end the session in order. Second: now."""
    import trio

    from voxpy.engine.ending import EndReason

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            if screen.hosted is None or screen.hosted.session.ended is not None:
                everything.cancel()
                return
            if person is not None and screen.hosted.leg.state != "ended":
                screen.hosted.leg.far_end_hangs_up()  # at a microphone, that is how one hangs up
                continue
            screen.note("interrupted: ending the call; once more to stop at once")
            screen.hosted.session.end(EndReason.HOST_SHUTDOWN, "interrupted")


def _exit_code(result: Any) -> int:
    from voxpy.engine.ending import EndReason

    if result.interrupted:
        return EXIT_INTERRUPTED
    if result.end.reason is EndReason.LOAD_ERROR:
        return EXIT_WRONG_INPUT
    forgotten = result.end.reason is EndReason.NO_CALLS
    return EXIT_FAILED if result.end.reason.is_error or forgotten or result.failure else 0


# -- --browser: a host for one scenario, and the phone in its page ---------------------------------


def _serve_one(options: Mapping[str, Any]) -> None:
    """Serve the scenarios of ``voxpy run`` until Ctrl-C. Raises UsageError, and SystemExit."""
    from voxpy.cli.serve import command as serve
    from voxpy.project.secrets import Secrets

    for name in UNUSED_IN_BROWSER:
        if options[name]:
            flag = {"callees": "callee", "as_json": "json"}.get(name, name)
            raise click.UsageError(f"--browser has a person for a caller: it takes no --{flag}")
    secrets: Path = options["secrets_path"]
    agent = options["agent"] or ("inworld" if Secrets(secrets).get("INWORLD_API_KEY") else "local")
    given = {
        "--agent": agent,
        "--port": str(_free_port()),
        "--secrets": str(secrets) if secrets.exists() else "",
        "--out": str(options["out"]),
        "--llm": options["llm"],
        "--llm-model": options["llm_model"],
        "--topics": options["topics"] and str(options["topics"]),
        "--drain-s": "0",
    }
    words = [word for name, value in given.items() if value for word in (name, value)]
    import tempfile

    with tempfile.TemporaryDirectory(prefix="voxpy-") as folder:
        routing = Path(folder) / "routing.yaml"
        routing.write_text(_routing(options), encoding="utf-8")
        serve.main([str(routing), "--open", *words], prog_name="voxpy run --browser")


def _routing(options: Mapping[str, Any]) -> str:
    """Return a routing file with one rule that takes every call."""
    scenarios = [str(path.absolute()) for path in options["scenarios"]]
    name = options["scenarios"][0].stem
    import yaml

    return yaml.safe_dump(
        {
            "rules": [{"name": name, "pattern": ".*", "scenarios": scenarios}],
            "channels": {"browser": {"to": options["destination"] or name}},
        }
    )


def _free_port() -> int:
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", BROWSER_PORT))
        except OSError:
            return 0
    return BROWSER_PORT
