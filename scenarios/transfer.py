"""An agent that hands its caller to a person, and tells the person first what it is about.

Run it:  voxpy run scenarios/transfer.py
Nobody there:  voxpy run scenarios/transfer.py --callee "mary=no_answer"
Behind a channel:  dial "transfer" (see routing.yaml); mary is a user of the host

While the caller hears ringing, the person hears a whisper, and takes the call with the key 1. Who
does not, or is not there, leaves the caller with the agent.
"""

from __future__ import annotations

import time

import trio

from voxpy import AppEvents, Call, CallEvents, Inworld, Logger, Modules, VoxEngine, require
from voxpy.errors import ConnectFailed, ToolError

require(Modules.Inworld)

PERSON = "mary"
"""Who is rung: one of the host's users. With a trunk, call_pstn and a number do as well."""
PATIENCE_S = 40
"""For ringing, the whisper and the key; then the caller has waited enough."""
RINGING = "440@-19,480@-19;60(2/4/1+2)"

SESSION_CONFIG: Inworld.SessionParameters = {
    "session": {
        "type": "realtime",
        "instructions": "You are Voxi from Voximplant, on a live phone call. Answer in one short "
        "sentence. If the caller wants a person, or you cannot help, call transfer_to_human.",
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


@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event: AppEvents.CallAlerting) -> None:
    caller = event.call
    agent: Inworld.RealtimeAPIClient | None = None
    handed_over = False

    def terminate(_: object = None) -> None:
        if agent is not None:
            agent.close()
        VoxEngine.terminate()

    def agent_gone(_: object) -> None:
        if not handed_over:  # else we sent it away ourselves
            terminate()

    caller.add_event_listener(CallEvents.Disconnected, terminate)
    caller.answer()
    try:
        agent = client = await Inworld.create_realtime_api_client(
            api_key=VoxEngine.get_secret_value("INWORLD_API_KEY"),
            session_key=f"transfer-demo-{time.time_ns() // 1_000_000}",
            on_web_socket_close=agent_gone,
        )
    except ConnectFailed as failure:
        Logger.write(f"===NO CONNECTION=== {failure}")
        caller.say("I am sorry, our assistant cannot be reached. Please call again later.")
        await caller.wait_event(CallEvents.PlaybackFinished)
        terminate()
        return

    tools = Inworld.ToolSet()

    @tools.add
    async def transfer_to_human(reason: str = "nothing more is known") -> str:
        """Connect the caller with a person.

        reason: what the caller wants, in a few words
        """
        nonlocal handed_over
        ringing = VoxEngine.create_tone_script_player(RINGING)
        ringing.send_media_to(caller)  # in place of the agent, whom it would talk over
        person = VoxEngine.call_user(username=PERSON, callerid=caller.callerid())
        if await takes_it(person, f"There is a caller for you: {reason}"):
            handed_over = True
            join(caller, person)
            client.close()
            return "connected"
        person.hangup()
        ringing.stop()
        VoxEngine.send_media_between(caller, client)
        raise ToolError("nobody is free at the moment")

    client.use_tools(tools)
    bridged = False

    def bridge_and_greet(_: Inworld.RealtimeAPIEvents.SessionUpdated) -> None:
        nonlocal bridged
        if not bridged:  # it comes again when the service changes something
            bridged = True
            VoxEngine.send_media_between(caller, client)
            client.response_create({"response": {"instructions": "Greet the caller as Voxi."}})

    def configure(_: Inworld.RealtimeAPIEvents.SessionCreated) -> None:
        client.session_update(SESSION_CONFIG)

    def barge_in(_: Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted) -> None:
        client.output_audio_buffer_clear({})

    events = Inworld.RealtimeAPIEvents
    client.add_event_listener(events.SessionCreated, configure)
    client.add_event_listener(events.SessionUpdated, bridge_and_greet)
    client.add_event_listener(events.InputAudioBufferSpeechStarted, barge_in)


async def takes_it(person: Call, about: str) -> bool:
    """Ring a person, whisper what it is about, and return whether they want the call."""
    over = trio.Event()
    accepted = False

    def whisper(_: CallEvents.Connected) -> None:
        person.handle_tones(True)
        person.say(f"{about}. To take the call, press one. To leave it to the agent, hang up.")

    def pressed(event: CallEvents.ToneReceived) -> None:
        nonlocal accepted
        accepted = event.tone == "1"
        over.set()

    def missed(event: CallEvents.Failed) -> None:
        Logger.write(f"{PERSON} did not answer: {event.code} {event.reason}")
        over.set()

    person.add_event_listener(CallEvents.Connected, whisper)
    person.add_event_listener(CallEvents.ToneReceived, pressed)
    person.add_event_listener(CallEvents.Failed, missed)
    person.add_event_listener(CallEvents.Disconnected, lambda _: over.set())
    with trio.move_on_after(PATIENCE_S):
        await over.wait()
    return accepted


def join(caller: Call, person: Call) -> None:
    """Let the two talk. Who hangs up ends it for both."""
    Logger.write(f"{caller.callerid()} talks to {PERSON}")
    person.stop_playback()
    VoxEngine.send_media_between(caller, person)
    person.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
