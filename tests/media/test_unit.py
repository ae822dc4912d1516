"""What connects units."""

from __future__ import annotations

from voxpy.media.unit import MediaPort


def test_a_port_is_itself_and_not_its_fields() -> None:
    one, two = MediaPort(name="call"), MediaPort(name="call")
    assert one != two
    assert len({one, two}) == 2
    assert one.source is None
    assert one.sink is None
