"""``AMD.Events``: how a detection ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.amd.detector import AnsweringMachineDetector
    from voxpy.call import Call


@event_class
class AMDEvent(Event):
    """Base of both events of a detector."""

    amd: AnsweringMachineDetector
    call: Call | None = None

    @property
    def call_id(self) -> str:
        """The id of the call, empty without one."""
        return "" if self.call is None else self.call.id()


class Events(metaclass=Namespace):
    """Events of an AnsweringMachineDetector: one of the two, once (VoxEngine: AMD.Events)."""

    @event_class
    class DetectionComplete(AMDEvent):
        """The detection is over.

        ``result_class`` is one of ``AMD.ResultClass``; ``confidence`` is 0 to 100, and None for
        TIMEOUT and CALL_ENDED. ``result_subtype`` is always ``AMD.ResultSubtype.NONE``: voxpy
        cannot tell a machine that imitates a human.
        """

        name: ClassVar[str] = "AMD.Events.DetectionComplete"
        result_class: str
        result_subtype: str = "NONE"
        confidence: float | None = None

    @event_class
    class DetectionError(AMDEvent):
        """Nothing could be detected; ``message`` says why."""

        name: ClassVar[str] = "AMD.Events.DetectionError"
        message: str
