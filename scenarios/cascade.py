"""A cascade: voice detector, turn detector, recogniser, chat model and voice, each of its own.

Run it:  voxpy run scenarios/cascade.py

Without keys the local agent takes every part over the services' own wires; with OPENAI_API_KEY and
ELEVENLABS_API_KEY in secrets.env and --agent inworld (each service at its own address) they answer.
The caller may speak over the answer at any time: voice and model fall silent at once.
"""

from voxpy import (
    AppEvents,
    ASREvents,
    ASRProfileList,
    Call,
    CallEvents,
    ElevenLabs,
    Logger,
    OpenAI,
    Pipecat,
    PlayerEvents,
    Silero,
    VoxEngine,
    clear_timeout,
    set_timeout,
)
from voxpy.errors import EngineMissing

MODEL = "gpt-4o-mini"
INSTRUCTIONS = "You are on the phone. Answer in one short sentence."
GREETING = "Hello, how can I help you?"
PATIENCE_MS = 1500
VOICE = {"voice_id": "21m00Tcm4TlvDq8ikWAM"}


class Cascade:
    """One conversation: the caller's words gather until the turn is over, then comes the answer."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.words: list[str] = []
        self.turn_is_over = False
        self.patience: int | None = None

    async def begin(self) -> None:
        self.vad = await Silero.create_vad(min_silence_duration_ms=300)
        self.asr = VoxEngine.create_asr(profile=ASRProfileList.Google.en_US)
        self.chat = await OpenAI.create_chat_completions_api_client(
            api_key=VoxEngine.get_secret_value("OPENAI_API_KEY"), store_context=True
        )
        try:
            self.turn: Pipecat.TurnDetector | None = await Pipecat.create_turn_detector()
        except EngineMissing as missing:  # then every pause ends a turn
            Logger.write(str(missing))
            self.turn = None
        key = VoxEngine.get_secret_value("ELEVENLABS_API_KEY")
        self.voice = ElevenLabs.create_realtime_tts_player(
            path_parameters=VOICE,
            query_parameters={"output_format": "ulaw_8000"},
            headers={"xi-api-key": key} if key else {},
        )

        self.vad.add_event_listener(Silero.VADEvents.Result, self.heard_speech)
        self.asr.add_event_listener(ASREvents.Result, self.heard_words)
        if self.turn is not None:
            self.turn.add_event_listener(Pipecat.TurnEvents.Result, self.judged)
        chat = OpenAI.ChatCompletionsAPIEvents
        self.chat.add_event_listener(chat.ContentDelta, self.wrote)
        self.chat.add_event_listener(chat.ContentDone, self.wrote_all)
        self.chat.add_event_listener(chat.ChatCompletionsAPIError, self.failed)

        self.voice.add_event_listener(PlayerEvents.Error, self.voiceless)

        for listener in filter(None, (self.vad, self.asr, self.turn)):
            self.call.send_media_to(listener)
        self.voice.send_media_to(self.call)
        self.voice.append(GREETING, True)

    def heard_speech(self, event: Silero.VADEvents.Result) -> None:
        clear_timeout(self.patience)
        if event.speech_start_at is not None:  # barge-in
            self.turn_is_over = False
            self.chat.cancel()
            self.voice.clear_buffer()
        elif self.turn is not None:
            self.turn.predict()
            self.patience = set_timeout(self.ended, PATIENCE_MS)  # if it thinks there is more
        else:
            self.ended()

    def judged(self, event: Pipecat.TurnEvents.Result) -> None:
        if event.end_of_turn:
            self.ended()

    def ended(self) -> None:
        clear_timeout(self.patience)
        self.turn_is_over = True
        self.answer()

    def heard_words(self, event: ASREvents.Result) -> None:
        Logger.write(f"CALLER: {event.text}")
        self.words.append(event.text)
        self.answer()

    def answer(self) -> None:
        """Ask the model once both are there: the end of the turn, and its words."""
        if not (self.turn_is_over and self.words):
            return
        said, self.words, self.turn_is_over = " ".join(self.words), [], False
        messages = [{"role": "user", "content": said}]
        messages.insert(0, {"role": "system", "content": INSTRUCTIONS})
        self.chat.create_chat_completions({"model": MODEL, "messages": messages})

    def wrote(self, event: OpenAI.ChatCompletionsAPIEvents.ContentDelta) -> None:
        self.voice.append(event.delta)

    def wrote_all(self, event: OpenAI.ChatCompletionsAPIEvents.ContentDone) -> None:
        Logger.write(f"AGENT: {event.content}")
        self.voice.append("", True)

    def failed(self, event: OpenAI.ChatCompletionsAPIEvents.ChatCompletionsAPIError) -> None:
        Logger.write(f"===NO ANSWER=== {event.message}")
        self.voice.append("I am sorry, I cannot answer just now.", True)

    def voiceless(self, event: PlayerEvents.Error) -> None:
        """The voice cannot be had: the host's own says so, and the call is over."""
        Logger.write(f"===NO VOICE=== {event.error}")
        self.call.add_event_listener(CallEvents.PlaybackFinished, lambda: self.call.hangup())
        self.call.say("I am sorry, our assistant cannot be reached. Please call again later.")

    def end(self, _: CallEvents.Disconnected) -> None:
        clear_timeout(self.patience)
        for part in ("vad", "chat", "turn", "voice"):
            unit = getattr(self, part, None)
            if unit is not None:
                (unit.stop if part == "voice" else unit.close)()
        VoxEngine.terminate()


@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event: AppEvents.CallAlerting) -> None:
    cascade = Cascade(event.call)
    event.call.add_event_listener(CallEvents.Disconnected, cascade.end)
    event.call.answer()
    await cascade.begin()
