"""``AnsweringMachineDetector``: what a scenario holds of one detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from voxpy.call import Call
from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import UnknownName, nearest

__all__ = ["AMDControl", "AnsweringMachineDetector"]


class AMDControl(Protocol):
    """What a detector delegates to; ``voxpy.amd.control`` implements it."""

    amd_id: str
    model: str
    timeout_ms: float
    call: Call | None

    def attach(self, call: Call) -> None:
        """Listen to ``call`` from its answer on."""

    async def detect(self) -> Any:
        """Return the event that ends the detection. Any: events import this module."""


class AnsweringMachineDetector(Emitter):
    """Finds out whether a human or a machine answered (VoxEngine: AMD.AnsweringMachineDetector).

    Made by ``AMD.create``. It listens from the moment it has an answered call, whether or not
    somebody awaits ``detect``; listen with ``AMD.Events``.
    """

    def __init__(self, session: Session, control: AMDControl) -> None:
        super().__init__(session, catalog="AMD.Events")
        self._control = control

    def id(self) -> str:
        """Return the id of the detector, unique in the session."""
        return self._control.amd_id

    @property
    def call(self) -> Call | None:
        """The call it listens to, if it has one yet."""
        return self._control.call

    @property
    def model(self) -> str:
        """The model it was made with."""
        return self._control.model

    @property
    def timeout(self) -> float:
        """How long it listens after the answer, in ms."""
        return self._control.timeout_ms

    def attach(self, call: Call) -> None:
        """Listen to ``call`` from its answer on; ``call_pstn(amd=...)`` does this.

        Raises ScenarioError if it has another call already. voxpy's own.
        """
        self._control.attach(call)

    async def detect(self) -> Any:
        """Wait for the end of the detection; return ``AMD.Events.DetectionComplete``.

        Or ``DetectionError``: it has no call, or the host no speech gate. A second time it returns
        the same at once. VoxEngine: AnsweringMachineDetector.detect.
        """
        return await self._control.detect()

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"AnsweringMachineDetector has no {name!r}{nearest(name, known)}")
