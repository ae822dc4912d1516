"""Remind a patient of an appointment: talk to a person, leave a message on a machine.

The office calls to order the reminder, and is told how it went.

Run it:  voxpy run scenarios/voicemail.py
A person answers:  voxpy run scenarios/voicemail.py --callee "+15550188=answer"
Nobody is there:  voxpy run scenarios/voicemail.py --callee "+15550188=no_answer"
Behind a channel:  dial "remind" (see routing.yaml)
"""

from __future__ import annotations

import trio

from voxpy import AMD, AppEvents, Call, CallEvents, Logger, VoxEngine

PATIENT = "+15550188"
REMINDER = "This is the dental clinic. Your appointment is on Tuesday at ten."


@VoxEngine.on(AppEvents.CallAlerting)
async def remind(event: AppEvents.CallAlerting) -> None:
    office = event.call
    office.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    office.answer()
    amd = AMD.create(model=AMD.Model.US, timeout=8000)
    patient = VoxEngine.call_pstn(PATIENT, event.callerid, amd=amd)
    may_speak = beep_of(patient)

    answer = await amd.detect()
    Logger.write(f"{PATIENT}: {answer.result_class}, confidence {answer.confidence}")
    if answer.result_class == AMD.ResultClass.VOICEMAIL:
        await may_speak.wait()
        await tell(patient, f"{REMINDER} Please call us back if you cannot come.")
        report = "I left a message."
    elif answer.result_class == AMD.ResultClass.CALL_ENDED:
        report = "I did not reach the patient."
    else:
        await tell(patient, f"Hello. {REMINDER} Goodbye.")
        report = "I talked to the patient."
    patient.hangup()
    await tell(office, report)
    VoxEngine.terminate()


def beep_of(call: Call) -> trio.Event:
    """Return what is set when the machine has beeped, or has not for 20 s."""
    over = trio.Event()

    def heard(event: CallEvents.BeepDetectionComplete) -> None:
        Logger.write(f"beep: {event.frequencies} Hz")
        over.set()

    call.add_event_listener(
        CallEvents.Connected, lambda _: call.enable_beep_detection(timeout=20_000)
    )
    call.add_event_listener(CallEvents.BeepDetectionComplete, heard)
    call.add_event_listener(CallEvents.BeepDetectionError, lambda _: over.set())
    return over


async def tell(call: Call, text: str) -> None:
    """Say ``text`` and wait until it is said, or the call is over."""
    call.say(text)
    with trio.move_on_after(20):
        await call.wait_event(CallEvents.PlaybackFinished)
