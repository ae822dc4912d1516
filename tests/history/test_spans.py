"""Spans of a call with a tool: what is in what, from when to when, and nothing personal."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from voxpy.history.spans import Telemetry
from voxpy.testing import CallKit, CallTool

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def spans_of(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


async def test_a_call_with_a_tool(voxpy: CallKit, autojump_clock: object) -> None:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(exporter)
    began = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    says: list[Any] = ["Hello.", [CallTool("order_status", {"number": "7"})], "It is on its way."]
    async with voxpy.world("scenarios/tools.py", agent=says) as world:
        caller = await world.dial()
        trace = world.call.hosted.trace
        telemetry.watch(trace, "test-1", "orders", "simulated", began)
        await caller.wait_hears("hello")
        await caller.say("Where is my order?")
        await caller.wait_hears("way")
        caller.hang_up()
        await world.wait_ended()
    telemetry.finish("test-1")
    telemetry.close()
    found = spans_of(exporter)
    (session,), (agent,) = found["session orders"], found["invoke_agent client-1"]
    assert session.parent is None
    assert session.attributes is not None
    assert session.attributes["gen_ai.conversation.id"] == "test-1"
    assert session.attributes["voxpy.end_reason"] == "terminated"
    assert session.start_time == round(began.timestamp() * 1e9)
    assert agent.attributes is not None
    assert agent.attributes["gen_ai.provider.name"] == "inworld"
    greeting, reply = sorted(found["turn"], key=lambda span: span.start_time or 0)
    assert reply.attributes is not None
    assert 0 < int(str(reply.attributes["voxpy.reply_ms"])) < 2000
    (tool,) = found["execute_tool order_status"]
    assert tool.attributes is not None
    assert tool.attributes["gen_ai.tool.name"] == "order_status"
    ids = {span.context.span_id: span for each in found.values() for span in each if span.context}
    chats = [s for s in found["chat"] if s.parent and ids[s.parent.span_id] is reply]
    assert len(chats) == 2, "the tool's call, and the answer"
    for span, above in ((agent, session), (greeting, agent), (reply, agent), (tool, reply)):
        assert span.parent is not None
        assert ids[span.parent.span_id] is above
        assert (above.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0)
        assert (span.end_time or 0) <= (above.end_time or 0)
    told = json.dumps([json.loads(span.to_json()) for each in found.values() for span in each])
    for personal in ("+1555", "order?", "on its way", "Hello"):
        assert personal not in told
