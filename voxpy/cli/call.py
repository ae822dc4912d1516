"""``voxpy call``: a simulated call to a running host, by a phone provider or by SIP."""

from __future__ import annotations

import functools
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import click

from voxpy.channels.providers import NAMES

if TYPE_CHECKING:
    from voxpy.channels.providers.provider import Provider

from voxpy.cli.options import secrets_option

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
HOST = "127.0.0.1:8080"
MOST_TOLD_BYTES = 300


@click.command()
@click.argument("target", metavar="URL|DEST|sip:USER@HOST")
@click.option(
    "--provider",
    help=f"The provider to be: {', '.join(NAMES)}. Default: the one that the URL's path ends with, "
    "or else twilio.",
)
@click.option(
    "--caller",
    type=click.Path(path_type=Path),
    help="A caller's script (YAML) or a WAV file to play. Default: a polite caller.",
)
@click.option("--from", "callerid", help="The caller's number.")
@click.option("--to", "destination", help="The number that is called. Default: DEST.")
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="HOST:PORT",
    help="Where `voxpy serve` listens, for a DEST.",
)
@click.option(
    "--codec",
    metavar="NAME",
    help="What the provider carries: pcmu/8000, pcma/8000, pcm16/8000, pcm16/16000 … Default: the "
    "provider's usual one.",
)
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A custom parameter of the stream. May be repeated.",
)
@click.option("--user", help="Of a SIP call: the user to be, for a host that asks.")
@click.option(
    "--password-secret", metavar="NAME", help="Of a SIP call: the secret with that password."
)
@secrets_option(
    "secrets_path", "The host's secrets: with them the call is signed as the provider would."
)
@click.option(
    "--public-url",
    metavar="URL",
    help="What the host was given as --public-url: signatures are made over that address.",
)
@click.option(
    "--play/--no-play",
    default=None,
    help="Play the call on the loudspeaker. Default: if the play extra and a device are there.",
)
@click.option("--mic", is_flag=True, help="Be the caller yourself, at the microphone.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(".voxpy"),
    show_default=True,
    help="Where the folder of the call goes (calls/<id>).",
)
@click.option("--verbose", "-v", is_flag=True, help="Show every step.")
@click.option("--json", "as_json", is_flag=True, help="Print only the call record, as JSON.")
def command(**options: Any) -> None:
    """Call a running host over a provider's media stream, or any SIP address, in real time.

    URL is where the provider would open its stream (ws://host:8080/media/twilio, tcp://host:9092
    for audiosocket). DEST is a number: it is called on the host of this machine. sip:USER@HOST
    (with :PORT, ;transport=tcp or tls) is called by a SIP phone in this terminal: a host of yours,
    a PBX, a softphone.
    """
    # Imported here: `voxpy --help` must not wait for the media engine.
    import trio

    from voxpy.cli.terminal.screen import Screen

    screen = Screen(verbose=options["verbose"], quiet=options["as_json"])
    plan = _plan(options, screen)
    try:
        result = trio.run(functools.partial(_run, plan, screen))
    finally:
        if plan.sound is not None:
            plan.sound.close()
    if result is None:
        screen.note("stopped")
        raise SystemExit(EXIT_INTERRUPTED)
    if options["as_json"]:
        from voxpy.cli.terminal.printing import print_json

        print_json(result.record.to_json())
    else:
        screen.finish(result)
    if result.interrupted:
        raise SystemExit(EXIT_INTERRUPTED)
    raise SystemExit(EXIT_FAILED if result.failure else 0)


def _plan(options: dict[str, Any], screen: Any) -> Any:
    from voxpy.channels.providers.provider import PhoneCall
    from voxpy.channels.providers.table import find_provider
    from voxpy.cli.options import agent_engines
    from voxpy.cli.run import _sound
    from voxpy.errors import LocalProtocolError, ScenarioError
    from voxpy.simulation.dialledcall import DialledCallPlan

    script = _script(options)
    if options["target"].startswith(("sip:", "sips:")):
        return _sip_plan(options, script, screen)
    url, name = _where(options)
    if ours := _without_meaning(script):
        screen.note(f"not for a host that is called: {', '.join(ours)} of the caller's script")
    call_id = f"call-{secrets.token_hex(6)}"
    try:
        provider = find_provider(name)
        call = PhoneCall(
            call_id=call_id,
            caller=script.callerid,
            callee=script.destination,
            format=_format(options["codec"], provider),
            parameters=_parameters(options["parameters"]),
        )
        side = provider.place(call)
    except (ScenarioError, LocalProtocolError) as error:
        raise click.UsageError(str(error)) from error
    return DialledCallPlan.by_provider(
        url=url,
        carrier=side,
        script=script,
        folder=(options["out"] / "calls" / call_id).absolute(),
        make_engines=functools.partial(agent_engines, {"llm": None, "topics": None}),
        headers=stream_headers(options, url, provider),
        sound=_sound({**options, "fast": False}, screen),
    )


def _sip_plan(options: dict[str, Any], script: Any, screen: Any) -> Any:
    from voxpy.cli.options import agent_engines, password_of
    from voxpy.cli.run import _sound
    from voxpy.errors import RemoteProtocolError
    from voxpy.lab.sipcall import sip_plan

    wrong = [name for name in ("provider", "codec", "public_url") if options[name] is not None]
    if wrong or options["parameters"]:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in wrong or ["param"])
        raise click.UsageError(f"a SIP call has no {named}")
    password = password_of(options)
    call_id = f"call-{secrets.token_hex(6)}"
    try:
        return sip_plan(
            options["target"],
            call_id=call_id,
            script=script,
            folder=(options["out"] / "calls" / call_id).absolute(),
            make_engines=functools.partial(agent_engines, {"llm": None, "topics": None}),
            user=options["user"] or "",
            password=password,
            sound=_sound({**options, "fast": False}, screen),
        )
    except RemoteProtocolError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error


def stream_headers(options: dict[str, Any], url: str, provider: Provider) -> list[tuple[str, str]]:
    """Return what a provider's stream proves itself with, by ``--secrets`` and ``--public-url``."""
    from voxpy.channels.providers.http import as_websocket, public_address
    from voxpy.engine import clock
    from voxpy.project.secrets import Secrets

    known, public = Secrets(options["secrets_path"]), options["public_url"]
    called = url
    if public is not None:
        parts = urlsplit(url)
        below = f"{parts.path}?{parts.query}" if parts.query else parts.path
        called = as_websocket(public_address(public)) + below
    now_s = clock.calendar().timestamp()
    return provider.stream_headers(called, known.get, now=now_s, nonce=secrets.token_hex(16))


def _where(options: dict[str, Any]) -> tuple[str, str]:
    """Return the URL to dial and the provider to be."""
    from voxpy.channels.providers.table import PROVIDERS

    target, provider = options["target"], options["provider"]
    if "://" not in target:
        provider = provider or "twilio"
        if provider in PROVIDERS and PROVIDERS[provider].transport == "tcp":
            raise click.UsageError(f"{provider} is called at its own port: tcp://127.0.0.1:PORT")
        return f"ws://{options['host']}/media/{provider}", provider
    parts = urlsplit(target)
    last = parts.path.rstrip("/").rpartition("/")[2]
    if provider is None and parts.scheme == "tcp":
        provider = next(name for name, kind in PROVIDERS.items() if kind.transport == "tcp")
    provider = provider or (last if last in PROVIDERS else "twilio")
    if parts.scheme in ("ws", "wss") and parts.path in ("", "/"):
        parts = parts._replace(path=f"/media/{provider}")
    return parts.geturl(), provider


def _script(options: dict[str, Any]) -> Any:
    from voxpy.simulation.callerfile import polite_script, read_script
    from voxpy.simulation.script import CallerScript
    from voxpy.simulation.steps import StayOn, Wait

    if options["mic"]:
        script = CallerScript(steps=(Wait(what="answered"), StayOn()))
    elif options["caller"] is not None:
        script = read_script(options["caller"])
    else:
        script = attrs.evolve(polite_script(), may_be_refused=False)  # a host should take it
    given = {k: options[k] for k in ("callerid", "destination") if options[k] is not None}
    if "://" not in options["target"] and not options["target"].startswith(("sip:", "sips:")):
        given.setdefault("destination", options["target"])
    return attrs.evolve(script, **given)


def _without_meaning(script: Any) -> list[str]:
    """Return the sections that play what a running host has itself: its agent, whom it calls."""
    from voxpy.simulation.service import ServiceScript

    written = {
        "callees": bool(script.callees),
        "service": script.service != ServiceScript(),
        "moments": bool(script.moments),
        "speech: tones": script.speech == "tones",
    }
    return [name for name, is_there in written.items() if is_there]


def _format(codec: str | None, provider: Provider) -> Any:
    from voxpy.audio.frame import Format

    if codec is None:
        return provider.formats[0]
    encoding, _, rate = codec.partition("/")
    try:
        return Format(encoding, int(rate or 8000))  # type: ignore[arg-type]
    except ValueError as error:
        raise click.BadParameter(f"{codec!r}: {error}", param_hint="--codec") from error


def _parameters(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [word.partition("=") for word in given]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.BadParameter(f"{name!r} is not NAME=VALUE", param_hint="--param")
    return {name: value for name, _, value in pairs}


async def _run(plan: Any, screen: Any) -> Any:
    """Return the result, or None if the call was stopped at once."""
    import trio

    from voxpy.errors import ConnectFailed, HandshakeRefused
    from voxpy.simulation.dialledcall import DialledCall

    call = DialledCall(plan, screen)
    result = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, screen, nursery.cancel_scope, call)
        try:
            result = await call.run()
        except HandshakeRefused as error:
            told = error.body[:MOST_TOLD_BYTES].decode("utf-8", "replace").strip()
            if not told:
                raise
            raise ConnectFailed(f"{error}: {told}") from error
        except ConnectFailed as error:
            sip = plan.channel == "sip"
            hint = "" if sip else "; is `voxpy serve` running there?"
            raise ConnectFailed(f"{error}{hint}") from error
        nursery.cancel_scope.cancel()
    return result


async def _obey_signals(screen: Any, everything: Any, call: Any) -> None:
    """First Ctrl-C: hang up. Second: stop now."""
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            if not call.interrupt():
                everything.cancel()
                return
            screen.note("interrupted: hanging up; once more to stop at once")
