"""OpenTelemetry: a span for each session, call, turn, response and tool, made from the trace.

Behind the extra ``otel``. Names and attributes are those of the GenAI semantic conventions where
they exist (``gen_ai.*``); the rest has names of ours. Nothing that is personal goes out: no number,
no transcript, no argument of a tool. Exporters work in threads of their own and are configured by
OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT ...).

::

    session echo                     from its start to its end
     ├─ call call-1                  until it is over
     └─ invoke_agent client-1        the connection to a speech service
         └─ turn                     from the agent's first response until it is silent
             ├─ chat                 one response
             └─ execute_tool weather
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxpy.engine.trace import Entry, Trace
from voxpy.errors import EngineMissing, install_command

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

NS = 1_000_000_000


class Telemetry:
    """The spans of a host. ``exporter`` takes the place of OTLP over HTTP.

    Raises EngineMissing without the extra.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            missing = f"OpenTelemetry is not installed: {install_command('otel')}"
            raise EngineMissing(missing) from error
        resource = Resource.create({SERVICE_NAME: "voxpy"})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._sessions: dict[str, SessionSpans] = {}

    def watch(
        self, trace: Trace, session_id: str, rule: str, channel: str, began: datetime.datetime
    ) -> None:
        """Make spans of a session's trace from its beginning."""
        told = {"gen_ai.conversation.id": session_id, "voxpy.rule": rule, "voxpy.channel": channel}
        tracer = self._provider.get_tracer("voxpy")
        spans = SessionSpans(tracer, round(began.timestamp() * NS), told)
        self._sessions[session_id] = spans
        trace.add_sink(spans)

    def finish(self, session_id: str) -> None:
        """End a session's spans."""
        spans = self._sessions.pop(session_id, None)
        if spans is not None:
            spans.finish()

    def close(self) -> None:
        """Send what waits, for some seconds. Blocks."""
        self._provider.force_flush(5000)
        self._provider.shutdown()


class SessionSpans:
    """A trace sink. ``began_ns`` is the session's start in nanoseconds since 1970."""

    def __init__(self, tracer: Tracer, began_ns: int, told: Mapping[str, str]) -> None:
        from opentelemetry import trace

        self._api = trace
        self._tracer = tracer
        self._began_ns = began_ns
        self._open: dict[str, Span] = {}
        self._last_s = 0.0
        self._session = tracer.start_span(
            f"session {told['voxpy.rule']}", start_time=began_ns, attributes=dict(told)
        )

    def __call__(self, entry: Entry) -> None:
        """Take an entry of the trace."""
        self._last_s = entry.t
        if entry.kind == "error":
            kind = {"error.type": entry.name}  # its message may say what somebody said
            self._session.add_event("error", kind, self._ns(entry.t))
            self._session.set_status(self._api.StatusCode.ERROR, entry.name)
        elif entry.kind == "session" and entry.name == "ending":
            self._session.set_attribute("voxpy.end_reason", str(entry.data.get("reason", "")))
        elif entry.kind == "step":
            self._step(entry)
        elif entry.kind == "event":
            self._event(entry)

    def finish(self) -> None:
        """End what is open: the session is over."""
        for key in reversed(list(self._open)):
            self._end(key, self._last_s, {})
        self._session.end(self._ns(self._last_s))

    def _step(self, entry: Entry) -> None:
        unit, data = entry.unit, entry.data
        match entry.name:
            case "call began":
                told = {
                    "voxpy.call.incoming": bool(data["incoming"]),
                    "voxpy.call.client_type": str(data["client_type"]),
                }
                self._begin(f"call {unit}", f"call {unit}", entry.t, told)
            case "call over":
                told = {"voxpy.call.duration_s": float(data["duration_s"])}
                self._end(f"call {unit}", entry.t, {**told, "voxpy.call.code": int(data["code"])})
            case "tool called":
                told = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": str(data["tool"]),
                    "gen_ai.tool.call.id": str(data["call_id"]),
                }
                name = f"execute_tool {data['tool']}"
                self._begin(f"tool {data['call_id']}", name, entry.t, told, "turn", unit)
            case "tool answered":
                self._end(f"tool {data['call_id']}", entry.t, {})
            case "agent audible":
                if "reply_ms" in data and (turn := self._open.get("turn")) is not None:
                    turn.set_attribute("voxpy.reply_ms", int(data["reply_ms"]))
            case "agent silent" | "caller speaks":
                self._end("turn", entry.t, {"voxpy.interrupted": entry.name == "caller speaks"})
            case "websocket closed":
                for key in (f"chat {unit}", "turn", f"agent {unit}"):
                    self._end(key, entry.t, {})

    def _event(self, entry: Entry) -> None:
        unit, short = entry.unit, entry.name.rsplit(".", 1)[-1]
        if short == "SessionCreated":
            service = entry.name.partition(".")[0].lower()
            told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": service}
            self._begin(f"agent {unit}", f"invoke_agent {unit}", entry.t, told)
        elif short == "ResponseCreated":
            if "turn" not in self._open:
                self._begin("turn", "turn", entry.t, {}, "", unit)
            told = {"gen_ai.operation.name": "chat", "gen_ai.output.type": "speech"}
            self._begin(f"chat {unit}", "chat", entry.t, told, "turn", unit)
        elif short == "ResponseDone":
            self._end(f"chat {unit}", entry.t, _of_response(entry))

    def _begin(
        self,
        key: str,
        name: str,
        at_s: float,
        told: Mapping[str, Any],
        parent: str = "",
        unit: str = "",
    ) -> None:
        """Begin a span below ``parent``, if that is open, or the agent ``unit``, or the session."""
        self._end(key, at_s, {})
        above = self._open.get(parent) or self._open.get(f"agent {unit}") or self._session
        self._open[key] = self._tracer.start_span(
            name,
            context=self._api.set_span_in_context(above),
            start_time=self._ns(at_s),
            attributes=dict(told),
        )

    def _end(self, key: str, at_s: float, told: Mapping[str, Any]) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            span.set_attributes(dict(told))
            span.end(self._ns(at_s))

    def _ns(self, t: float) -> int:
        return self._began_ns + round(t * NS)


def _of_response(entry: Entry) -> dict[str, Any]:
    """Return what a response has used, and how it ended."""
    payload = entry.personal.get("payload") or {}
    response = payload.get("response") if isinstance(payload, Mapping) else None
    if not isinstance(response, Mapping):
        return {}
    told: dict[str, Any] = {"gen_ai.response.id": str(response.get("id", ""))}
    if response.get("status"):
        told["gen_ai.response.finish_reasons"] = [str(response["status"])]
    usage = response.get("usage")
    for name in ("input_tokens", "output_tokens"):
        if isinstance(usage, Mapping) and isinstance(usage.get(name), int):
            told[f"gen_ai.usage.{name}"] = usage[name]
    return told
