"""A telephone menu that takes keys and words, whichever the caller likes.

Run it:  voxpy run scenarios/ivr.py
Behind a channel:  dial "ivr" (see routing.yaml)

The caller asks for the opening hours, or for what has become of a repair. A key or a word cuts off
what is being said: who knows the menu need not hear it to its end.
"""

from __future__ import annotations

import re

import trio

from voxpy import (
    AppEvents,
    ASREvents,
    ASRProfileList,
    Call,
    CallEvents,
    Logger,
    Modules,
    VoxEngine,
    require,
)

require(Modules.ASR)

MENU = (
    "Welcome to the repair shop. For our opening hours, say hours, or press one. "
    "To ask for a repair, say repair, or press two."
)
HOURS = "We are open from nine to five, from Monday to Friday."
TICKET = "Please say the digits of your ticket, or enter them and press the hash key."
ANYTHING_ELSE = "Say hours, say repair, or just hang up."
NOT_UNDERSTOOD = "I am sorry, I did not understand that."
GOODBYE = "Thank you for calling. Goodbye."

REPAIRS = {"4711": "is ready. You can fetch it", "1234": "takes until Thursday"}
DIGITS = {
    word: str(n)
    for n, word in enumerate("zero one two three four five six seven eight nine".split())
}

PATIENCE_S = 20.0
"""From the beginning of a question, so it has to be longer than the longest."""
MOST_MISTAKES = 3


async def answer(event: AppEvents.CallAlerting) -> None:
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
    answers = listen(call)
    question, mistakes = MENU, 0
    while mistakes < MOST_MISTAKES:
        wish = await ask(call, answers, question)
        Logger.write(f"the caller wants {wish!r}")
        if re.search("hours|open|1|one", wish):
            question = f"{HOURS} {ANYTHING_ELSE}"
        elif re.search("repair|2|two", wish):
            question = f"{await repair(call, answers)} {ANYTHING_ELSE}"
        elif not wish and question is not MENU:
            break  # has what they wanted, and says nothing more
        else:
            mistakes += 1
            question = f"{NOT_UNDERSTOOD} {MENU}"
    call.say(GOODBYE)
    await call.wait_event(CallEvents.PlaybackFinished)
    call.hangup()


def listen(call: Call) -> trio.MemoryReceiveChannel[str]:
    """Return what the caller answers from now on: keys as they come, words as they were said."""
    told, answers = trio.open_memory_channel[str](20)

    def tell(answer: str) -> None:
        call.stop_playback()
        try:
            told.send_nowait(answer)
        except trio.WouldBlock:  # somebody leans on the keys
            Logger.write(f"too fast: {answer}")

    call.handle_tones(True)  # or keys would arrive as sound, and the recogniser hear beeps
    call.add_event_listener(CallEvents.ToneReceived, lambda e: tell(e.tone))
    asr = VoxEngine.create_asr(
        profile=ASRProfileList.Google.en_US, phrase_hints=["hours", "repair", *DIGITS]
    )
    asr.add_event_listener(ASREvents.CaptureStarted, lambda _: call.stop_playback())
    asr.add_event_listener(ASREvents.Result, lambda e: tell(e.text.lower()))
    call.send_media_to(asr)
    return answers


async def ask(call: Call, answers: trio.MemoryReceiveChannel[str], question: str) -> str:
    """Return what the caller answers; nothing if nothing comes."""
    call.say(question)
    with trio.move_on_after(PATIENCE_S):
        return await answers.receive()
    return ""


async def repair(call: Call, answers: trio.MemoryReceiveChannel[str]) -> str:
    """Return what there is to say of a ticket."""
    answer = await ask(call, answers, TICKET)
    ticket = digits(answer)
    while len(answer) == 1 and answer != "#":  # keys come one by one, words all at once
        answer = ""
        with trio.move_on_after(PATIENCE_S / 4):
            answer = await answers.receive()
        ticket += digits(answer)
    Logger.write(f"ticket {ticket}")
    spoken = " ".join(ticket)
    if ticket not in REPAIRS:
        return f"I do not know the ticket {spoken}." if ticket else NOT_UNDERSTOOD
    return f"The repair {spoken} {REPAIRS[ticket]}."


def digits(answer: str) -> str:
    """Return the digits of an answer: "four seven, 1 1." is 4711."""
    words = re.findall(r"[a-z]+|\d", answer)
    return "".join(DIGITS.get(word, word if word.isdigit() else "") for word in words)


VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
