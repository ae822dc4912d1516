"""The call as it happens, in the terminal: the caller on the left, the agent on the right."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import trio
from rich.text import Text

from voxpy.cli.terminal.printing import PlainConsole
from voxpy.engine.ending import EndReason
from voxpy.engine.trace import Entry
from voxpy.history.timeline import ToolWords
from voxpy.host.sessions import HostedSession
from voxpy.simulation.localcall import LocalCallResult

REMINDED_AFTER_S = 3.0
TIME_WIDTH = 8
GAP = 3
QUIET_EVENTS = frozenset(
    {
        "Call.StateChanged",
        "Call.AudioQualityDetected",
        "Call.FirstAudioPacketReceived",
        "Application.Started",
        "Application.Terminating",
        "Application.Terminated",
    }
)
LONGEST_TOOL = 300
"""Characters of a call or a result; --verbose shows all."""
DIALLING = ("VoxEngine.call_", "VoxEngine.forward_call_")
EVENT_WORDS = {
    "Application.CallAlerting": "call comes in",
    "Call.Connected": "answered",
    "Call.Disconnected": "disconnected",
    "Call.Failed": "failed",
    "Call.Ringing": "rings",
    "Call.AudioStarted": "audio before the answer",
    "Call.ToneReceived": "digit",
    "Call.MessageReceived": "message",
    "Call.RecordStarted": "recording started",
    "Call.RecordStopped": "recording stopped",
    "RealtimeAPI.SessionUpdated": "agent is ready",
    "RealtimeAPI.InputAudioBufferSpeechStarted": "agent hears speech",
    "RealtimeAPI.Error": "agent reports an error",
    "RealtimeAPI.WebSocketError": "agent connection error",
    "RealtimeAPI.HTTPResponse": "agent refused the connection",
}


FORGOTTEN = (
    "the call was over and nobody ended the session: did you forget VoxEngine.terminate() in a "
    "listener for CallEvents.Disconnected?"
)


class Screen:
    """An Observer that prints. Plain text when the output is no terminal."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        width = max(72, min(shutil.get_terminal_size((100, 24)).columns, 140))
        self.console = PlainConsole(width=width, quiet=quiet)
        self._column = (width - TIME_WIDTH - GAP) // 2 - 1
        self._verbose = verbose
        self._tools = ToolWords()
        self._dialled: dict[str, str] = {}  # other legs: unit -> number
        self._calls: set[str] = set()
        self._over_at_s: float | None = None  # when the last call was over
        self.hosted: HostedSession | None = None

    def progress(self, text: str) -> None:
        """Say what takes a while."""
        self.console.print(Text(f"· {text} …", style="dim"))

    def hint(self, text: str) -> None:
        """Say something that is good to know and needs no action."""
        self.console.print(Text(text, style="dim"))

    def note(self, text: str) -> None:
        """Say something that is no progress and no part of the call."""
        self.console.print(Text(text, style="yellow"))

    async def remind(self) -> None:
        """Say so when the call is over and the session is not: that may take a minute."""
        while True:
            await trio.sleep(REMINDED_AFTER_S)
            session = self.hosted.session if self.hosted is not None else None
            over_s = self._over_at_s
            if session is None or over_s is None or session.ended is not None:
                continue
            if session.trace.elapsed_s() - over_s >= REMINDED_AFTER_S:
                limit_s = session.context.settings.limits.session_without_calls_s
                self.note(f"{FORGOTTEN} It ends by itself {limit_s:g} s after the last call.")
                return

    def session_began(self, session: HostedSession) -> None:
        """Print the heading."""
        self.hosted = session
        leg = session.leg
        who = "started without a call" if leg is None else f"{leg.callerid} calls {leg.destination}"
        names = ", ".join(Path(f).name for f in session.record.scenarios)
        self.heading(
            f"{who} · {names} · "
            f"{session.context.realtime.url or 'the service that the scenario names'}"
        )

    def heading(self, text: str) -> None:
        """Print who calls whom, and the heads of the columns."""
        self.console.print()
        self.console.print(Text(text))
        self._row(None, "CALLER", "AGENT", style="bold")

    def entry(self, entry: Entry) -> None:
        """Print an entry of the trace if a person would want to see it."""
        tool = self._tools(entry)
        if tool:
            self._row(entry.t, "", tool if self._verbose else _cut(tool), style="magenta")
        show = getattr(self, f"_show_{entry.kind}", None)
        if show is not None:
            show(entry)

    # -- kinds of entries -------------------------------------------------------------------------

    def _show_event(self, entry: Entry) -> None:
        payload: dict[str, Any] = entry.personal.get("payload") or {}
        short = entry.name.rsplit(".", 1)[-1]
        if short == "ConversationItemInputAudioTranscriptionCompleted":
            self._row(entry.t, f"   understood: {payload.get('transcript')!r}", "", style="cyan")
        elif entry.name == "ASR.Result":
            self._row(entry.t, f"   understood: {entry.personal.get('text')!r}", "", style="cyan")
        elif short in ("ResponseOutputAudioTranscriptDone", "ResponseAudioTranscriptDone"):
            self._row(entry.t, "", str(payload.get("transcript") or ""), style="bold green")
        elif payload.get("type") == "response.backchannel.audio.done":
            self._row(entry.t, "", f"({payload.get('phrase')})", style="dim")
        elif (words := _event_words(entry.name)) and not self._answered_at_once(entry):
            self._note(entry, self._whose(entry) + words + self._detail(entry, payload))
        elif self._verbose and entry.name not in QUIET_EVENTS:
            self._note(entry, self._whose(entry) + entry.name)

    @staticmethod
    def _answered_at_once(entry: Entry) -> bool:
        return entry.name == "Call.AudioStarted" and entry.data.get("code") == 200

    def _whose(self, entry: Entry) -> str:
        """Return what tells a leg that the scenario dialled from the caller's."""
        number = self._dialled.get(entry.unit)
        return f"{number} " if number is not None else ""

    def _show_command(self, entry: Entry) -> None:
        if entry.name.startswith(DIALLING):
            number = str(entry.personal.get("number", ""))
            self._dialled[entry.unit] = number
            self._note(entry, f"scenario calls {number}")
        elif entry.name == "Call.hangup" and entry.unit in self._dialled:
            self._note(entry, f"{self._whose(entry)}is hung up by the scenario")

    @staticmethod
    def _detail(entry: Entry, payload: dict[str, Any]) -> str:
        error = payload.get("error") or {}
        told = (
            entry.personal.get("tone")
            or entry.personal.get("text")
            or entry.data.get("reason")
            or payload.get("message")
            or (error.get("message") if isinstance(error, dict) else None)
            or payload.get("name")
            or payload.get("status")
        )
        return f": {told}" if told else ""

    def _show_step(self, entry: Entry) -> None:
        text = entry.personal.get("text", "")
        match entry.name:
            case "call began":
                self._calls.add(entry.unit)
                self._over_at_s = None
            case "call over":
                self._calls.discard(entry.unit)
                self._over_at_s = None if self._calls else entry.t
            case "caller speaks":
                self._row(entry.t, text or "(sound)", "", style="bold")
            case "caller presses":
                self._row(entry.t, f"presses {entry.personal.get('digits')}", "", style="bold")
            case "caller hangs up":
                self._row(entry.t, "hangs up", "", style="bold")
            case "caller heard":
                self._row(entry.t, "", f"   heard: {text!r}", style="cyan")
            case "agent ready":
                self._note(entry, "agent is ready")
            case "caller interrupts":
                self._note(entry, "agent hears speech")
            case "agent understands":
                self._row(entry.t, f"   understood: {text!r}", "", style="cyan")
            case "agent says":
                self._row(entry.t, "", text, style="bold green")
            case "agent audible" if "reply_ms" in entry.data:
                self._row(entry.t, "", f"· reply after {entry.data['reply_ms']} ms", style="dim")
            case "agent fell silent":
                after = entry.data["after_ms"]
                self._row(entry.t, "", f"· barge-in: silent after {after} ms", style="yellow")
            case "callee speaks":
                self._callee(entry, text or "(sound)", style="bold magenta")
            case "callee presses":
                self._callee(entry, f"presses {entry.personal.get('digits')}", style="bold magenta")
            case "callee hangs up":
                self._callee(entry, "hangs up", style="bold magenta")
            case "callee heard":
                self._row(entry.t, f"   {self._whose(entry)}heard: {text!r}", "", style="cyan")
            case "provider's buffer":
                told = entry.data
                words = f"the provider held at most {told['most_waiting_ms']} ms"
                if told["clears"]:
                    words += f"; {told['clears']} x clear, {told['cleared_ms']} ms dropped"
                words += f"; {told['gaps']} gaps" if told["gaps"] else ""
                self._note(entry, words)
            case "answer classified":
                confidence = entry.data.get("confidence")
                sure = "" if confidence is None else f", {confidence:.0f} % sure"
                self._note(entry, f"answered by: {entry.data['result_class']}{sure}")
            case name if name.startswith(("callee receives", "callee sends")):
                self._callee(entry, f"{name[7:]}: {text}", style="bold magenta")
            case name if name.startswith(("caller receives", "caller sends")):
                self._row(entry.t, f"{name[7:]}: {text}", "", style="bold")

    def _callee(self, entry: Entry, text: str, *, style: str) -> None:
        """Print what a person does whom the scenario called: on the right, under its number."""
        self._row(entry.t, "", f"[{self._whose(entry).strip()}] {text}", style=style)

    def _show_log(self, entry: Entry) -> None:
        if self._verbose:
            self._note(entry, f"log: {entry.personal.get('text')}")

    def _show_warning(self, entry: Entry) -> None:
        fields = {**entry.data, **entry.personal}
        told = ", ".join(str(v) if k == "message" else f"{k} {v}" for k, v in fields.items())
        self._note(entry, f"warning: {entry.name}{': ' if told else ''}{told}", style="yellow")

    def _show_error(self, entry: Entry) -> None:
        told = [entry.data.get("message"), entry.personal.get("text")]
        words = ": ".join(str(t) for t in told if t)
        self._note(entry, f"error: {words}", style="bold red")

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, result: LocalCallResult) -> None:
        """Print how it ended and where everything is."""
        record, out = result.record, self.console
        out.print()
        cause = _cause(result)
        ended = f"{record.finish_reason} after {record.duration_s:.1f} s"
        out.print(Text(ended if cause else f"{ended}: {result.end.detail}"), soft_wrap=True)
        if result.end.frames:
            out.print(Text(result.end.frames.rstrip(), style="red"))
        if record.reply_ms:
            shown = ", ".join(str(ms) for ms in record.reply_ms)
            out.print(Text(f"replies after  {shown} ms (from the caller's last sound)"))
        if record.barge_in_ms:
            shown = ", ".join(str(ms) for ms in record.barge_in_ms)
            words = f"barge-ins      agent silent {shown} ms after the caller's first sound"
            out.print(Text(words))
        for label, name in (
            ("recording", "call.wav"),
            ("trace", "trace.jsonl"),
            ("log", "session.log"),
            ("record", "record.json"),
        ):
            path = result.folder / name
            extra = " (left: caller, right: agent)" if name == "call.wav" else ""
            out.print(Text(f"{label:<14} {_short(path)}{extra}"), soft_wrap=True)
        for label, urls in (
            ("recorded", [u for u in record.recordings if not u.endswith("/call.wav")]),
            ("transcript", record.transcripts),
        ):
            for url in urls:
                path = result.folder / unquote(url.rpartition("/")[2])
                out.print(Text(f"{label:<14} {_short(path)}"), soft_wrap=True)
        if result.failure:
            whose = "callee" if result.failure.startswith("callee ") else "caller"
            words = f"the {whose}'s script was not met: {result.failure}"
            out.print(Text(words, style="dim" if cause else "bold red"), soft_wrap=True)
        if cause:
            out.print(Text(cause, style="bold red"), soft_wrap=True)

    def stopped(self) -> None:
        """Print what is left of a call that was stopped at once."""
        if self.hosted is None:
            self.console.print(Text("stopped before the call began"))
        else:
            left = _short(self.hosted.folder.root)
            self.console.print(Text(f"stopped; what there is of the call: {left}"), soft_wrap=True)

    # -- layout -----------------------------------------------------------------------------------

    def _note(self, entry: Entry, text: str, style: str = "dim") -> None:
        self._line(entry.t, Text(f"— {text}", style=style))

    def _row(self, t: float | None, left: str, right: str, *, style: str) -> None:
        lines_left = textwrap.wrap(left, self._column) or [""]
        lines_right = textwrap.wrap(right, self._column) or [""]
        for n in range(max(len(lines_left), len(lines_right))):
            a = lines_left[n] if n < len(lines_left) else ""
            b = lines_right[n] if n < len(lines_right) else ""
            text = f"{a:<{self._column}}{' ' * GAP}{b}".rstrip()
            self._line(t if n == 0 else None, Text(text, style=style))

    def _line(self, t: float | None, text: Text) -> None:
        stamp = f"{t:6.2f}s " if t is not None else " " * TIME_WIDTH
        self.console.print(Text.assemble((stamp, "dim"), text), soft_wrap=True)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TOOL else text[: LONGEST_TOOL - 1] + "…"


def _event_words(name: str) -> str | None:
    """Return what an event is called; that of a realtime client is the same for every service."""
    _, _, below = name.partition(".")
    return EVENT_WORDS.get(name) or EVENT_WORDS.get(below)


def _cause(result: LocalCallResult) -> str:
    """Return why the call failed, where it is not only the caller's script that was not met."""
    if result.end.reason is EndReason.NO_CALLS:
        return FORGOTTEN
    failed = result.end.reason.is_error and not result.interrupted
    return f"{result.end.reason.value}: {result.end.detail}" if failed else ""


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
