"""Call somebody, and have an appointment confirmed with a key.

Started by the API, which says whom to call, or by whoever dials "outbound" and is told how it went.

Run it:  voxpy run scenarios/outbound.py
As the API would:  voxpy run scenarios/outbound.py --data '{"to": "+15550188", "name": "Ann"}'
Behind a channel, with a trunk for +1555...:
    curl -d rule_name=outbound \\
        --data-urlencode 'script_custom_data={"to":"+15550188","name":"Ann"}' \\
        http://127.0.0.1:8080/platform_api/StartScenarios

The answer to that has an access URL. GET it to know how far the call is; what you POST to it is
said to whoever is called; a WebSocket to it hears the call, in VoxEngine's messages (docs/api.md).
Started for a row of a call list, it reports what came of it.
"""

from __future__ import annotations

import json

import trio

from voxpy import (
    AMD,
    AppEvents,
    Call,
    CallEvents,
    CallList,
    Logger,
    VoxEngine,
    WebSocketAudioEncoding,
)

OURS = "+15550100"
"""The number we call from; carriers refuse what is not theirs."""
DEMO = {"to": "+15550188", "name": "Ann"}
QUESTION = (
    "Hello {name}, this is the dental clinic. You have an appointment on Tuesday at ten. "
    "To confirm it, press one. To cancel it, press two."
)
MESSAGE = "Hello {name}, this is the dental clinic about Tuesday at ten. Please call us back."
THANKS = {"1": "Thank you. See you on Tuesday.", "2": "Your appointment is cancelled. Goodbye."}
OUTCOME = {"1": "confirmed", "2": "cancelled"}

outcome = "not called yet"
"""Of this session: each has its own module, so a global belongs to one call."""
called: Call | None = None

VoxEngine.allow_websocket_connections()


@VoxEngine.on(AppEvents.Started)
async def started(_: AppEvents.Started) -> None:
    if data := VoxEngine.custom_data():  # without it a call has started us, see below
        await confirm(json.loads(data))
        if outcome.startswith("failed"):
            await CallList.report_error_async({"outcome": outcome})
        else:
            await CallList.report_result_async({"outcome": outcome})
        VoxEngine.terminate()


@VoxEngine.on(AppEvents.CallAlerting)
async def ordered(event: AppEvents.CallAlerting) -> None:
    office = event.call
    office.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    office.answer()
    await confirm(DEMO)
    await tell(office, f"{DEMO['name']}: {outcome}.")
    VoxEngine.terminate()


@VoxEngine.on(AppEvents.HttpRequest)
def asked(event: AppEvents.HttpRequest) -> dict[str, str]:
    if event.content and called is not None:
        called.say(event.content)
    return {"outcome": outcome}


@VoxEngine.on(AppEvents.WebSocket)
def listens(event: AppEvents.WebSocket) -> None:
    if called is not None:
        called.send_media_to(event.websocket, encoding=WebSocketAudioEncoding.PCM16_16KHZ)


async def confirm(whom: dict[str, str]) -> None:
    """Call, ask, and keep what came of it in ``outcome``."""
    global called
    note("calling")
    amd = AMD.create(model=AMD.Model.US)
    called = patient = VoxEngine.call_pstn(whom["to"], OURS, amd=amd)
    patient.add_event_listener(CallEvents.Failed, lambda e: note(f"failed, {e.code} {e.reason}"))
    patient.add_event_listener(CallEvents.Connected, lambda _: note("answered"))
    keys = listen(patient)  # from the beginning: some press before they are asked

    answered = await amd.detect()
    if answered.result_class == AMD.ResultClass.VOICEMAIL:
        await tell(patient, MESSAGE.format(name=whom["name"]))
        note("left a message")
    elif answered.result_class == AMD.ResultClass.CALL_ENDED:
        if outcome == "answered":
            note("hung up before the question")
    else:
        patient.say(QUESTION.format(name=whom["name"]))
        key = await choice(keys)
        note(OUTCOME.get(key, "no answer to the question"))
        await tell(patient, THANKS.get(key, "Goodbye."))
    patient.hangup()


def listen(call: Call) -> trio.MemoryReceiveChannel[str]:
    """Return the keys that are pressed from now on, until the call is over."""
    pressed, keys = trio.open_memory_channel[str](100)
    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, lambda e: pressed.send_nowait(e.tone))
    call.add_event_listener(CallEvents.Disconnected, lambda _: pressed.close())
    return keys


async def choice(keys: trio.MemoryReceiveChannel[str]) -> str:
    """Return the first key that was asked for; nothing if none comes."""
    with trio.move_on_after(20):
        async for key in keys:
            if key in OUTCOME:
                return key
    return ""


async def tell(call: Call, text: str) -> None:
    """Say ``text`` and wait until it is said, or the call is over."""
    done = trio.Event()
    for kind in (CallEvents.PlaybackFinished, CallEvents.Disconnected):
        call.add_event_listener(kind, lambda _: done.set())
    if call.state() == "CONNECTED":
        call.say(text)
        await done.wait()


def note(words: str) -> None:
    global outcome
    outcome = words
    Logger.write(f"outcome: {words}")
