"""Let the agent murmur "uh-huh" while the caller is still speaking.

Run it:  voxpy run scenarios/backchannel.py

The murmurs belong to no response. They are mixed into what the caller hears on a track of their
own, so that the caller's next words do not cut them off as they would cut off an answer.
"""

import time
from typing import Any

from voxpy import AppEvents, CallEvents, Inworld, Logger, Modules, VoxEngine, require
from voxpy.errors import ConnectFailed

require(Modules.Inworld)

SESSION_CONFIG: Inworld.SessionParameters = {
    "session": {
        "type": "realtime",
        "instructions": "You are Voxi from Voximplant, on a live phone call. Listen well. "
        "Answer in one short sentence.",
        "output_modalities": ["audio", "text"],
        "audio": {
            "input": {
                "transcription": {"model": "inworld/inworld-stt-1", "language": "en"},
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "low",  # people who tell a story pause for breath
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"voice": "Ashley", "model": "inworld-tts-2"},
        },
        "providerData": {
            "backchannel": {
                "enabled": True,
                "eval_interval_ms": 800,  # how often it is considered
                "min_speech_ms": 1200,  # not before the caller has said this much
                "min_gap_ms": 4000,  # between two murmurs
                "max_per_turn": 3,
                "volume_gain": 0.6,  # softer than an answer
                "allowed_phrases": ["mm-hmm", "uh-huh", "right"],
            },
        },
    },
}


async def answer(event: AppEvents.CallAlerting) -> None:
    call = event.call
    agent: Inworld.RealtimeAPIClient | None = None

    def terminate(_: object = None) -> None:
        if agent is not None:
            agent.close()
        VoxEngine.terminate()

    call.add_event_listener(CallEvents.Disconnected, terminate)
    call.add_event_listener(CallEvents.Failed, terminate)
    call.answer()
    try:
        agent = client = await Inworld.create_realtime_api_client(
            api_key=VoxEngine.get_secret_value("INWORLD_API_KEY"),
            session_key=f"backchannel-demo-{time.time_ns() // 1_000_000}",
            on_web_socket_close=terminate,
        )
    except ConnectFailed as failure:
        Logger.write(f"===NO CONNECTION=== {failure}")
        call.say("I am sorry, our assistant cannot be reached. Please call again later.")
        await call.wait_event(CallEvents.PlaybackFinished)
        terminate()
        return
    bridged = False

    def configure(_: Inworld.RealtimeAPIEvents.SessionCreated) -> None:
        client.session_update(SESSION_CONFIG)

    def bridge_and_greet(_: Inworld.RealtimeAPIEvents.SessionUpdated) -> None:
        nonlocal bridged
        if bridged:
            return
        bridged = True
        VoxEngine.send_media_between(call, client)
        client.response_create(
            {"response": {"instructions": 'Say only: "Hello, this is Voxi. Tell me all about it."'}}
        )

    def barge_in(_: Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted) -> None:
        # Murmurs come after the caller has begun to speak, so this does not touch them.
        client.output_audio_buffer_clear({})

    def murmured(event: Inworld.RealtimeAPIEvents.Unknown) -> None:
        """Log the back-channel; VoxEngine has no constants for its events, so they come here."""
        payload = event.data.payload
        match payload.get("type"):
            case "response.backchannel.audio.done":
                Logger.write(f"===MURMUR==> {payload.get('phrase')}")
            case "response.backchannel.skipped":
                Logger.write(f"===NO MURMUR==> {payload.get('reason')}")

    def said(event: Any) -> None:
        if event.transcript:
            Logger.write(f"==={event.name.rpartition('.')[2]}==> {event.transcript}")

    events = Inworld.RealtimeAPIEvents
    client.add_event_listener(events.SessionCreated, configure)
    client.add_event_listener(events.SessionUpdated, bridge_and_greet)
    client.add_event_listener(events.InputAudioBufferSpeechStarted, barge_in)
    client.add_event_listener(events.Unknown, murmured)
    client.add_event_listener(events.ConversationItemInputAudioTranscriptionCompleted, said)
    client.add_event_listener(events.ResponseOutputAudioTranscriptDone, said)


VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
