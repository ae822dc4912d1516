"""Answer and send the caller's own voice back: the first thing to call on a new line.

Run it:  voxpy run scenarios/echo.py
Behind a channel:  dial "echo" (see routing.yaml)
"""

from __future__ import annotations

from voxpy import AppEvents, CallEvents, VoxEngine


@VoxEngine.on(AppEvents.CallAlerting)
def answer(event: AppEvents.CallAlerting) -> None:
    call = event.call

    def echo(_event: CallEvents.Connected) -> None:
        call.send_media_to(call)

    def terminate(_event: object) -> None:
        VoxEngine.terminate()

    call.add_event_listener(CallEvents.Connected, echo)
    call.add_event_listener(CallEvents.Disconnected, terminate)
    call.add_event_listener(CallEvents.Failed, terminate)
    call.answer()
