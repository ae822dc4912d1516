"""Where Inworld's service differs from OpenAI's, or may: each difference is a switch.

The defaults are what Inworld was seen to do, or is said to do by those who talk to it, so that a
client that gets on with this server has met the oddities. Where nothing is known, the default is
what most clients expect.
"""

from __future__ import annotations

from typing import Literal

import attrs

from voxpy.wire.realtime.events.switches import switch

__all__ = ["Quirks"]


@attrs.frozen(kw_only=True)
class Quirks:
    """How a RealtimeServer behaves where services differ. ``Quirks()`` is like Inworld."""

    null_call_previous_id: bool = switch(
        True, "previous_item_id of function calls is null, in mid-conversation too"
    )
    call_done_name: bool = switch(
        False, "function_call_arguments.done repeats the name that the item has (OpenAI)"
    )
    transcript_deltas: Literal["cumulative", "additive"] = switch(
        "cumulative", "each delta of the caller's words is all of them so far, or only what is new"
    )
    transcription: Literal["before_response", "after_created", "after_done"] = switch(
        "before_response", "when the caller's words are told: neither service guarantees an order"
    )
    text_first: bool = switch(False, "output_text deltas come before the transcript's")
    mulaw_thirds: bool = switch(
        True, "item lengths of 8 kHz mu-law are bytes/24 ms: truncate takes a third of the real ms"
    )
    legacy_names: bool = switch(False, "events of the beta spelling (response.audio.delta ...)")
    end_padding: bool = switch(True, "half a millisecond of silence ends the audio of a response")
    ping_interval_s: float | None = switch(
        None, "send a ping event this often (Inworld does; its period is not known)"
    )
    exhausted_at_response: int | None = switch(
        None, "with this response (1 is the first) send SESSION_RESOURCES_EXHAUSTED, without a type"
    )
    auto_tool_response: bool = switch(
        True, "answer tool results unasked where providerData.auto_tool_response says nothing"
    )
    create_response_ignored: bool = switch(
        False, "answer turns although create_response is false (one client says Inworld does)"
    )
    manual_vad_events: bool = switch(True, "speech_started and _stopped without turn detection too")
    turn_suggestions: bool = switch(True, "send turn_suggestion and turn_suggestion_revoked")
    buffer_response_id: bool = switch(
        False, "output_audio_buffer events have a response_id (OpenAI)"
    )
    conversation_created: bool = switch(
        False, "conversation.created follows session.created (OpenAI)"
    )
