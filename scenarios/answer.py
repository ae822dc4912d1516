"""Answer an incoming call and bridge it to Inworld Realtime.

Run it:  voxpy run scenarios/answer.py

The agent explains what a phone number, a scenario file and a realtime voice model make together.
Without an INWORLD_API_KEY the local agent takes the service's part, over the same protocol.
"""

import time
import traceback
from typing import Any

from voxpy import AppEvents, CallEvents, Inworld, Logger, Modules, VoxEngine, require
from voxpy.errors import ConnectFailed

require(Modules.Inworld)

SYSTEM_PROMPT = """
You are Voxi, a developer advocate for Voximplant, and you are on a live phone call.
Say the company's name as VOX-im-plant.
Be brief, natural and helpful, as in a good demonstration.
Unless asked for more, answer in one short sentence of at most a dozen words.

If the caller asks "Tell me about Voximplant and Inworld" or anything as broad, answer directly:
Voximplant brings Inworld Realtime agents to real phone lines and apps, and Inworld gives them an
expressive voice that follows the conversation.

What the call should get across:
- Voximplant connects Inworld Realtime voice agents to the channels people really use.
- Inworld speaks expressively: TTS2 delivery, awareness of the conversation, voice direction and a
  persona under control.
- Voximplant covers phone calls, SIP, WhatsApp Business Calling, browser and app calls, and
  orchestrates them with VoxEngine.
- Nobody has to build a media gateway of their own to use Inworld on a call.
- Where it fits, name what production needs: transfers, DTMF, barge-in, detection of silence,
  debugging and monitoring.

How to sound:
- Like a lively expert, never like a menu.
- Follow the mood of the question.
- Take short turns; one spoken sentence is the rule.
- A "well", "hmm" or "right" now and then is welcome.
- At most one non-verbal tag in a turn, and usually none: [laugh], [breathe], [sigh] or
  [clear throat].
- At most one [speak ...] direction in a turn, and only at its very beginning.
- When asked about emotion, persona, pace or voice control, show it with such a tag.
- When asked what this is, say that it is Voximplant connected to Inworld Realtime on a live call.

If you are not sure of a product detail, say that you would look it up in the current documentation.
"""

SESSION_CONFIG: Inworld.SessionParameters = {
    "session": {
        "type": "realtime",  # keeps the call's audio stream connected to the agent
        "model": "claude-sonnet-4-6",  # some models need a payment method on file
        "instructions": SYSTEM_PROMPT,
        "output_modalities": ["audio", "text"],  # automatic responses need audio
        "audio": {
            "input": {
                # The transcript of the caller comes from the same session.
                "transcription": {
                    "model": "inworld/inworld-stt-1",
                    "language": "en",
                    "prompt": "Important terms: Voximplant, VoxEngine, Inworld, Inworld Realtime, "
                    "TTS2, SIP, WhatsApp Business Calling.",
                },
                # Decides when the caller's turn is complete, and answers it by itself.
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "high",
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"voice": "Ashley", "model": "inworld-tts-2", "speed": 1.0},
        },
        "providerData": {
            "tts": {
                "delivery_mode": "BALANCED",  # a steady, call-centre manner of speaking
                "segmenter_strategy": "full_turn",  # wait for the whole turn before speaking
                "steering_handling": "emit_once",  # a [speak ...] direction counts once a response
            },
            # Lets the recogniser adapt to the speaker during the session.
            "stt": {"voice_profile": True},
            # Short acknowledgements while the caller is still speaking.
            "backchannel": {
                "enabled": True,
                "eval_interval_ms": 800,
                "min_speech_ms": 800,
                "min_gap_ms": 4000,
                "max_per_turn": 3,
                "volume_gain": 0.6,
            },
            # A brief filler when the answer takes longer than expected.
            "responsiveness": {
                "enabled": True,
                "initial_wait_timeout_ms": 500,
                "hard_deadline_ms": 1200,
                "max_tokens": 8,
                "min_filler_gap_ms": 5000,
                "max_initial_per_turn": 1,
                "enable_filler_on_first_assistant_reply": False,
            },
        },
    },
}

GREETING = (
    "The phone call just connected. Greet the caller as Voxi from Voximplant and invite a question "
    "about Voximplant and Inworld."
)


async def answer(event: AppEvents.CallAlerting) -> None:
    call = event.call
    agent: Inworld.RealtimeAPIClient | None = None

    def terminate(event: object = None) -> None:
        """Clean up when the call is done; called from several places, so it may run twice."""
        if event:
            Logger.write(event)
        if agent is not None:
            agent.close()
        VoxEngine.terminate()

    call.add_event_listener(CallEvents.Disconnected, terminate)
    call.add_event_listener(CallEvents.Failed, terminate)

    try:
        call.answer()
        # To record within the scenario as well:  call.record(hd_audio=True, stereo=True)

        agent = client = await Inworld.create_realtime_api_client(
            api_key=VoxEngine.get_secret_value("INWORLD_API_KEY"),
            session_key=f"inworld-realtime-demo-{time.time_ns() // 1_000_000}",
            on_web_socket_close=terminate,
        )
        greeted = False

        def configure(_: Inworld.RealtimeAPIEvents.SessionCreated) -> None:
            Logger.write("===Inworld.SessionCreated===")
            client.session_update(SESSION_CONFIG)

        def bridge_and_greet(_: Inworld.RealtimeAPIEvents.SessionUpdated) -> None:
            """Once the session is configured, connect the audio and let the agent speak first.

            SessionUpdated comes again whenever the service changes something (a memory cycle, say);
            greeting once is on us.
            """
            nonlocal greeted
            Logger.write("===Inworld.SessionUpdated===")
            if greeted:
                return
            greeted = True
            VoxEngine.send_media_between(call, client)
            client.conversation_item_create(
                {
                    "item": {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": GREETING}],
                    }
                }
            )
            client.response_create({"response": {"output_modalities": ["audio", "text"]}})

        def barge_in(_: Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted) -> None:
            """The caller speaks: drop what the agent has not said yet."""
            Logger.write("===BARGE-IN: Inworld.InputAudioBufferSpeechStarted===")
            client.output_audio_buffer_clear({})

        def caller_said(
            event: Inworld.RealtimeAPIEvents.ConversationItemInputAudioTranscriptionCompleted,
        ) -> None:
            if event.transcript:
                Logger.write(f"===USER==> {event.transcript}")

        def agent_said(event: Inworld.RealtimeAPIEvents.ResponseOutputAudioTranscriptDone) -> None:
            if event.transcript:
                Logger.write(f"===AGENT==> {event.transcript}")

        events = Inworld.RealtimeAPIEvents
        client.add_event_listener(events.SessionCreated, configure)
        client.add_event_listener(events.SessionUpdated, bridge_and_greet)
        client.add_event_listener(events.InputAudioBufferSpeechStarted, barge_in)
        client.add_event_listener(
            events.ConversationItemInputAudioTranscriptionCompleted, caller_said
        )
        client.add_event_listener(events.ResponseOutputAudioTranscriptDone, agent_said)

        # Log-only handlers, for following the lifecycle, the audio and any errors.
        for kind in (
            events.ConversationItemInputAudioTranscriptionDelta,
            events.ResponseCreated,
            events.ResponseDone,
            events.ResponseOutputAudioDone,
            events.InputAudioBufferSpeechStopped,
            events.InputAudioBufferCommitted,
            events.InputAudioBufferCleared,
            events.OutputAudioBufferStarted,
            events.OutputAudioBufferStopped,
            events.OutputAudioBufferCleared,
            events.ConnectorInformation,
            # events.ResponseOutputAudioTranscriptDelta,  # noisy
            events.HTTPResponse,
            events.Error,
            events.WebSocketError,
            events.Unknown,
        ):
            client.add_event_listener(kind, log_event)
        client.add_event_listener(Inworld.Events.WebSocketMediaStarted, log_media)
        client.add_event_listener(Inworld.Events.WebSocketMediaEnded, log_media)

    except ConnectFailed as failure:
        Logger.write(f"===NO CONNECTION=== {failure}")
        call.say("I am sorry, our assistant cannot be reached. Please call again later.")
        await call.wait_event(CallEvents.PlaybackFinished)
        terminate()

    except Exception as error:  # a demonstration ends the call whatever went wrong
        Logger.write("===UNHANDLED_ERROR===")
        terminate({"message": str(error), "stack": traceback.format_exc()})


def log_event(event: Any) -> None:
    Logger.write(f"==={event.name}===")
    Logger.write(event.data)


def log_media(
    event: Inworld.Events.WebSocketMediaStarted | Inworld.Events.WebSocketMediaEnded,
) -> None:
    Logger.write(f"==={event.name}===")


VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
