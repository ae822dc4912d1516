"""Let the agent use functions: look up the weather, and hang up when the caller says goodbye.

Run it:  voxpy run scenarios/tools.py

A tool is a Python function. Its signature and docstring are what the model is told of it; what it
returns goes back to the model as JSON, and a ToolError as something that the model can talk about.
The weather comes from the service in the secret WEATHER_URL, or else from wttr.in.
"""

import json
import time
from typing import Any
from urllib.parse import quote

from voxpy import (
    AppEvents,
    CallEvents,
    Inworld,
    Logger,
    Modules,
    Net,
    VoxEngine,
    require,
)
from voxpy.errors import ConnectFailed, ToolError

require(Modules.Inworld)

SYSTEM_PROMPT = """
You are Voxi from Voximplant, on a live phone call. Answer in one short sentence.
For the weather somewhere, call get_weather; never guess it.
When the caller says goodbye or wants to end the call, call hang_up, and say goodbye to its result.
"""

SESSION_CONFIG: Inworld.SessionParameters = {
    "session": {
        "type": "realtime",
        "instructions": SYSTEM_PROMPT,
        "output_modalities": ["audio", "text"],
        "audio": {
            "input": {
                "transcription": {"model": "inworld/inworld-stt-1", "language": "en"},
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "high",
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"voice": "Ashley", "model": "inworld-tts-2"},
        },
        # This side asks for the response after a tool's result, once all results are in.
        "providerData": {"auto_tool_response": False},
    },
}

WEATHER_URL = "https://wttr.in"

tools = Inworld.ToolSet()


@tools.add
async def get_weather(city: str) -> dict[str, Any]:
    """Return the present weather in a city.

    city: the city's name, in English
    """
    base = VoxEngine.get_secret_value("WEATHER_URL") or WEATHER_URL
    answer = await Net.http_request_async(
        f"{base}/{quote(city)}", params={"format": "j1"}, timeout=8
    )
    if answer.code != 200:
        Logger.write(f"===WEATHER=== {answer.code} {answer.error or ''}")
        raise ToolError("the weather service does not answer")
    try:
        now = json.loads(answer.text or "")["current_condition"][0]
        return {
            "city": city,
            "temperature": int(now["temp_C"]),
            "conditions": now["weatherDesc"][0]["value"].strip().lower(),
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ToolError(f"the weather service does not know {city!r}") from error


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
            session_key=f"tools-demo-{time.time_ns() // 1_000_000}",
            on_web_socket_close=terminate,
        )
    except ConnectFailed as failure:
        Logger.write(f"===NO CONNECTION=== {failure}")
        call.say("I am sorry, our assistant cannot be reached. Please call again later.")
        await call.wait_event(CallEvents.PlaybackFinished)
        terminate()
        return
    bridged = False

    @tools.add
    def hang_up() -> dict[str, Any]:
        """End the call. Say goodbye to the caller when this has returned."""
        client.after_goodbye(call.hangup)  # when it is said and heard; not if the caller goes on
        return {"ok": True}

    client.use_tools(tools)

    def configure(_: Inworld.RealtimeAPIEvents.SessionCreated) -> None:
        client.session_update(SESSION_CONFIG)

    def bridge_and_greet(_: Inworld.RealtimeAPIEvents.SessionUpdated) -> None:
        nonlocal bridged
        if bridged:
            return
        bridged = True
        VoxEngine.send_media_between(call, client)
        client.response_create({"response": {"instructions": "Greet the caller as Voxi."}})

    def barge_in(_: Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted) -> None:
        client.output_audio_buffer_clear({})

    def said(event: Any) -> None:
        if event.transcript:
            Logger.write(f"==={event.name.rpartition('.')[2]}==> {event.transcript}")

    events = Inworld.RealtimeAPIEvents
    client.add_event_listener(events.SessionCreated, configure)
    client.add_event_listener(events.SessionUpdated, bridge_and_greet)
    client.add_event_listener(events.InputAudioBufferSpeechStarted, barge_in)
    client.add_event_listener(events.ConversationItemInputAudioTranscriptionCompleted, said)
    client.add_event_listener(events.ResponseOutputAudioTranscriptDone, said)


VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
