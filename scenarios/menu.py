"""A telephone menu: it speaks, rings, plays tones and listens for keys.

Run it:  voxpy run scenarios/menu.py

The caller hears ringing, then the menu, and presses a key: 1 for the opening hours, 2 for somebody
who is not there, 0 for the menu again. Three wrong keys, or ten seconds without any, end the call.
"""

import trio

from voxpy import AppEvents, Call, CallEvents, Logger, PlayerEvents, VoxEngine

MENU = "Welcome to the museum. For our opening hours, press one. For the office, press two."
HOURS = "We are open from ten to six, every day but Monday. To hear the menu again, press zero."
NOBODY = "Nobody is in the office. Please call again tomorrow. Goodbye."
BUSY = "480@-22,620@-22;3(.5/.5/1+2)"
WRONG_KEY = "400@-16;.4(.15/.05/1)"


async def answer(event: AppEvents.CallAlerting) -> None:
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    call.start_early_media()
    call.play_progress_tone("US")
    await trio.sleep(2.5)
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.handle_tones(True)
    call.say(MENU)
    await listen(call)
    call.hangup()


async def listen(call: Call) -> None:
    """Do what the keys ask for. A key cuts off what is being said."""
    mistakes = 0
    while mistakes < 3:
        try:
            pressed = await call.wait_event(CallEvents.ToneReceived, timeout_s=10)
        except trio.TooSlowError:
            return
        Logger.write(f"the caller pressed {pressed.tone}")
        match pressed.tone:
            case "0":
                call.say(MENU)
            case "1":
                call.say(HOURS)
            case "2":
                await try_the_office(call)
                return
            case _:
                mistakes += 1
                await play(call, WRONG_KEY)
                call.say(MENU)


async def try_the_office(call: Call) -> None:
    await play(call, BUSY)
    call.say(NOBODY)
    await call.wait_event(CallEvents.PlaybackFinished)


async def play(call: Call, tones: str) -> None:
    """Play tones to the call, and wait until they are over."""
    player = VoxEngine.create_tone_script_player(tones)
    player.send_media_to(call)
    await player.wait_event(PlayerEvents.PlaybackFinished)


VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
