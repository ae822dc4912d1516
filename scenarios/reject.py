"""Tell every caller that the line is busy (486).

Run it:  voxpy run scenarios/reject.py
Behind a channel:  dial anything that no other rule takes (see routing.yaml)
"""

from __future__ import annotations

from voxpy import AppEvents, CallEvents, VoxEngine

BUSY_HERE = 486  # RFC 3261 section 21.4.24


@VoxEngine.on(AppEvents.CallAlerting)
def refuse(event: AppEvents.CallAlerting) -> None:
    def terminate(_event: CallEvents.Disconnected) -> None:
        VoxEngine.terminate()

    event.call.add_event_listener(CallEvents.Disconnected, terminate)
    event.call.reject(BUSY_HERE)
