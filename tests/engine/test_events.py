"""What every event can do, and namespaces that correct misspellings."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest

from voxpy.engine.events import Event, Namespace, Started, Terminated, Terminating, event_class
from voxpy.errors import UnknownName


@event_class
class Answered(Event):
    name: ClassVar[str] = "Answered"
    code: int
    reason: str = ""


class Family(metaclass=Namespace):
    Answered = Answered
    _private = 1


def test_events_are_frozen_keyword_only_values() -> None:
    event = Answered(code=200)
    assert event == Answered(code=200)
    assert event != Answered(code=404)
    assert event != Terminated()
    assert event != "Answered"
    assert repr(event) == "Answered(code=200, reason='')"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.code = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Answered(200)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        hash(event)


def test_events_of_a_session_have_voxengines_names() -> None:
    assert Started.name == "Application.Started"
    assert Terminating.name == "Application.Terminating"
    assert Terminated.name == "Application.Terminated"
    assert Terminating().system_error is None


def test_a_namespace_lists_its_members_and_corrects() -> None:
    assert Family.members() == {"Answered": Answered}
    with pytest.raises(UnknownName, match="Family has no 'answred'; did you mean 'Answered'"):
        Family.answred  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(Family, "__nothing__")
