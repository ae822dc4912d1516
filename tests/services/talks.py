"""One scenario per service: greets, answers, calls a tool, lets itself be interrupted, hangs up.

Each is a file as an engineer would write it for that service. They differ in names and in what the
service wants to be told; what happens on the line is the same, and so are the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

HEAD = """
from voxpy import {name}, AppEvents, CallEvents, Logger, VoxEngine
from voxpy.errors import ConnectFailed

tools = {name}.ToolSet()


@tools.add
def get_price(item: str) -> dict[str, int]:
    '''Return the price of an item.

    item: what is to be bought
    '''
    return {{"dollars": len(item)}}


@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call, client = event.call, None

    def leave(_=None):
        if client is not None:
            client.close()
        VoxEngine.terminate()

    def wrote(words):
        return lambda e: Logger.write(f"{{words}}: {{text_of(e)}}")

    call.add_event_listener(CallEvents.Disconnected, leave)
    call.answer()
    try:
"""
TAIL = """
    except ConnectFailed as failure:
        Logger.write(f"no agent: {failure.status}")
        call.hangup()
"""


@attrs.frozen(kw_only=True)
class Talk:
    """A service and a scenario for it. ``setup`` is the body; ``text_of`` reads an event's words.

    failing: the realtime event that the failure test closes at; speech: an event of the service
    that the trace must have when the caller breaks in; greets: it speaks first by itself.
    """

    name: str
    setup: str
    text_of: str
    speech: str
    passes_g711: bool = False
    has_tools: bool = True
    tells_words: bool = True

    @property
    def source(self) -> str:
        body = "".join(f"        {line}\n" if line else "\n" for line in self.setup.splitlines())
        read = "".join(f"    {line}\n" for line in self.text_of.splitlines())
        head = HEAD.format(name=self.name)
        if not self.has_tools:
            head = head[: head.index("tools = ")] + head[head.index("@VoxEngine.on") :]
        return head + body + TAIL + f"\n\ndef text_of(e):\n{read}"


REALTIME = """
E = {events}
client = await {create}, on_web_socket_close=leave)
client.use_tools(tools)
client.add_event_listener(E.{first}, lambda e: client.session_update({session}))
greeted = False

def ready(e):
    nonlocal greeted
    if not greeted:
        greeted = True
        VoxEngine.send_media_between(call, client)
        client.response_create({{}})

client.add_event_listener(E.SessionUpdated, ready)
client.add_event_listener(
    E.InputAudioBufferSpeechStarted, lambda e: client.clear_media_buffer()
)
client.add_event_listener(
    E.ConversationItemInputAudioTranscriptionCompleted, wrote("caller")
)
client.add_event_listener(E.{said}, wrote("agent"))
"""
GA = (
    '{"session": {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["audio"],'
    ' "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"},'
    ' "turn_detection": {"type": "server_vad", "interrupt_response": True}}}}}'
)
BETA = (
    '{"instructions": "Be brief.", "modalities": ["audio", "text"],'
    ' "input_audio_transcription": {"model": "whisper-1"},'
    ' "turn_detection": {"type": "server_vad", "interrupt_response": True}}'
)
XAI = (
    '{"session": {"voice": "Eve", "instructions": "Be brief.",'
    ' "turn_detection": {"type": "server_vad"}}}'
)


def _realtime() -> Iterator[tuple[str, Talk]]:
    for key, name, create, events, prefix, first, session, said in (
        ("openai", "OpenAI", "OpenAI.create_realtime_api_client(model='gpt-realtime'",
         "OpenAI.RealtimeAPIEvents", "OpenAI.RealtimeAPI", "SessionCreated", GA,
         "ResponseOutputAudioTranscriptDone"),
        ("openai-beta", "OpenAI", "OpenAI.Beta.create_realtime_api_client(model='gpt-4o'",
         "OpenAI.Beta.RealtimeAPIEvents", "OpenAI.Beta.RealtimeAPI", "SessionCreated", BETA,
         "ResponseAudioTranscriptDone"),
        ("grok", "Grok", "Grok.create_voice_agent_api_client(model=None",
         "Grok.VoiceAgentAPIEvents", "Grok.VoiceAgentAPI", "ConversationCreated", XAI,
         "ResponseOutputAudioTranscriptDone"),
        ("yandex", "Yandex", "Yandex.create_realtime_api_client(folder_id='b1g'",
         "Yandex.RealtimeAPIEvents", "Yandex.RealtimeAPI", "SessionCreated", GA,
         "ResponseOutputAudioTranscriptDone"),
    ):  # fmt: skip
        setup = REALTIME.format(
            create=create, events=events, first=first, session=session, said=said
        )
        yield (
            key,
            Talk(
                name=name,
                setup=setup,
                text_of="return e.transcript",
                speech=f"{prefix}.InputAudioBufferSpeechStarted",
                passes_g711=True,
            ),
        )


GEMINI = Talk(
    name="Gemini",
    setup="""
E = Gemini.LiveAPIEvents
client = await Gemini.create_live_api_client(
    model="gemini-live", connect_config={"systemInstruction": "Be brief."}, tools=tools,
    on_web_socket_close=leave)

def ready(e):
    VoxEngine.send_media_between(call, client)
    turn = {"role": "user", "parts": [{"text": "Greet the caller."}]}
    client.send_client_content({"turns": [turn], "turnComplete": True})

def content(e):
    payload = e.data.payload
    if payload.get("interrupted"):
        client.clear_media_buffer()
    for key, who in (("inputTranscription", "caller"), ("outputTranscription", "agent")):
        if key in payload:
            Logger.write(f"{who}: {payload[key]['text']}")

client.add_event_listener(E.SetupComplete, ready)
client.add_event_listener(E.ServerContent, content)
""",
    text_of="return ''",
    speech="Gemini.LiveAPI.ServerContent",
)

ELEVENLABS = Talk(
    name="ElevenLabs",
    setup="""
E = ElevenLabs.AgentsEvents
client = await ElevenLabs.create_agents_client(
    agent_id="agent-ulaw", tools=tools, on_web_socket_close=leave)
client.conversation_initiation_client_data({"dynamic_variables": {"name": "Anna"}})
client.add_event_listener(
    E.ConversationInitiationMetadata, lambda e: VoxEngine.send_media_between(call, client)
)
client.add_event_listener(E.Interruption, lambda e: client.clear_media_buffer())
client.add_event_listener(E.UserTranscript, wrote("caller"))
client.add_event_listener(E.AgentResponse, wrote("agent"))
""",
    text_of="return e.data.payload.get('user_transcript', e.data.payload.get('agent_response'))",
    speech="ElevenLabs.Agents.Interruption",
    passes_g711=True,
)
DEEPGRAM = Talk(
    name="Deepgram",
    setup="""
E = Deepgram.VoiceAgentEvents
client = await Deepgram.create_voice_agent_client(
    settings_options={"agent": {"think": {"prompt": "Be brief."}, "greeting": "Good morning"}},
    tools=tools, on_web_socket_close=leave)
client.add_event_listener(
    E.SettingsApplied, lambda e: VoxEngine.send_media_between(call, client)
)
client.add_event_listener(E.UserStartedSpeaking, lambda e: client.clear_media_buffer())

def said(e):
    who = "caller" if e.role == "user" else "agent"
    Logger.write(f"{who}: {e.content}")

client.add_event_listener(E.ConversationText, said)
""",
    text_of="return ''",
    speech="Deepgram.VoiceAgent.UserStartedSpeaking",
    passes_g711=True,
)

ULTRAVOX = Talk(
    name="Ultravox",
    setup="""
E = Ultravox.WebSocketAPIEvents
client = await Ultravox.create_web_socket_api_client(
    body={"systemPrompt": "Be brief."}, tools=tools, on_web_socket_close=leave)
VoxEngine.send_media_between(call, client)
client.add_event_listener(E.PlaybackClearBuffer, lambda e: client.clear_media_buffer())

def said(e):
    if e.data.payload["final"]:
        who = "caller" if e.role == "user" else "agent"
        Logger.write(f"{who}: {e.text}")

client.add_event_listener(E.Transcript, said)
""",
    text_of="return ''",
    speech="Ultravox.WebSocketAPI.PlaybackClearBuffer",
)
CARTESIA = Talk(
    name="Cartesia",
    setup="""
E = Cartesia.AgentsEvents
client = await Cartesia.create_agents_client(agent_id="agent-1", on_web_socket_close=leave)
client.start({"metadata": {"from": call.callerid()}})
client.add_event_listener(E.ACK, lambda e: VoxEngine.send_media_between(call, client))
client.add_event_listener(E.Clear, lambda e: client.clear_media_buffer())
""",
    text_of="return ''",
    speech="Cartesia.Agents.Clear",
    passes_g711=True,
    has_tools=False,
    tells_words=False,
)

TALKS: dict[str, Talk] = {
    key: attrs.evolve(
        talk,
        setup=talk.setup.replace("response_create({})", "response_create()")
        if key == "openai-beta"
        else talk.setup,
    )
    for key, talk in _realtime()
} | {
    "gemini": GEMINI,
    "elevenlabs": ELEVENLABS,
    "deepgram": DEEPGRAM,
    "ultravox": ULTRAVOX,
    "cartesia": CARTESIA,
}
