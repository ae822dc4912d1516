"""What is made of the samples of a benchmark."""

from __future__ import annotations

from xml.etree import ElementTree

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import ConfigError
from voxpy.lab.bench.capacity import Point, Spread, lateness, most_calls
from voxpy.lab.bench.framing import (
    CLOSE,
    TEXT,
    Frames,
    read_stamp,
    stamped,
    text_frame,
    upgrade_answer,
    upgrade_request,
)
from voxpy.lab.bench.hosts import read_target
from voxpy.lab.bench.picture import lateness_svg
from voxpy.sockets.masks import new_mask
from voxpy.sockets.terms import SocketLimits
from voxpy.wire.websocket.handshake import ClientHandshake
from voxpy.wire.websocket.protocol import WebSocketProtocol

NOTHING = Spread(0.5, 1.0, 2.0)
GOOD = Point(
    calls=20,
    cpu_s_per_call_minute=0.3,
    cores=0.1,
    up=NOTHING,
    down=NOTHING,
    late=NOTHING,
    clock_late_p99_ms=1.0,
    skipped_ticks=0,
    lost=0.0,
    mb_per_call=0.1,
    clean=1.0,
    stolen=0.0,
    harness_late_p99_ms=0.5,
    alive=True,
)


def test_the_most_calls_are_those_before_anything_went_wrong() -> None:
    late = attrs.evolve(GOOD, calls=60, late=Spread(1.0, 20.0, 50.0))
    again = attrs.evolve(GOOD, calls=80)
    assert most_calls([]) == 0
    assert most_calls([GOOD]) == 20
    assert most_calls([GOOD, late, again]) == 20
    assert most_calls([late]) == 0
    assert not attrs.evolve(GOOD, alive=False).is_good
    assert not attrs.evolve(GOOD, lost=0.01).is_good


def test_percentiles() -> None:
    assert Spread.of([0.001, 0.002, 0.003]) == Spread(2.0, 3.0, 3.0)


def test_lateness_is_against_a_calls_own_best() -> None:
    delays = [(1, 10.0, 0.005), (2, 10.0, 0.100), (1, 10.1, 0.025), (2, 99.0, 0.090)]
    counted, late = lateness(delays, lambda at_s: at_s < 50)
    assert counted == [0.005, 0.100, 0.025]
    assert [round(s, 3) for s in late] == [0.0, 0.010, 0.020]


def test_the_picture_is_well_formed_and_names_every_line() -> None:
    svg = lateness_svg({"one, p99": [(20, 0.5), (60, 2.0)], "two": [(20, 500.0)]}, title="How late")
    root = ElementTree.fromstring(svg)
    told = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"How late", "one, p99", "two", "1 frame"} <= set(told)
    assert sum(element.tag.endswith("polyline") for element in root.iter()) == 2


def test_the_picture_shows_where_a_point_is_and_what_it_was_measured_on() -> None:
    line = [(20, 5.0), (60, 221.0), (100, 334.0)]
    svg = lateness_svg({"p99": line}, title="Late", notes=["AMD <EPYC>", "20 went well"])
    root = ElementTree.fromstring(svg)
    told = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"AMD <EPYC>", "20 went well", "1000 ms", "60", "100"} <= set(told)
    heights = [float(e.attrib["cy"]) for e in root.iter() if e.tag.endswith("circle")]
    assert heights[0] > heights[1] > heights[2], "221 and 334 ms are not the same"


# -- hosts that run already ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "host", "port", "path", "metrics"),
    [
        ("ws://a:8080", "a", 8080, "/media/twilio", "http://a:8080/metrics"),
        ("https://a", "a", 443, "/media/twilio", "https://a/metrics"),
        ("ws://a/x/twilio", "a", 80, "/x/twilio", "http://a/metrics"),
    ],
)
def test_where_a_stream_goes(address: str, host: str, port: int, path: str, metrics: str) -> None:
    target = read_target(address, to="echo")
    assert (target.order["host"], target.order["port"], target.order["path"]) == (host, port, path)
    assert target.order["tls"] == address.startswith("https")
    assert (target.metrics, target.order["to"]) == (metrics, "echo")


def test_where_a_sip_call_goes() -> None:
    target = read_target("sip:echo@10.0.0.1:5070", user="anna", password="sesame")
    assert (target.host, target.metrics) == ("10.0.0.1", "http://10.0.0.1:8080/metrics")
    assert target.order["account"] == {"username": "anna", "password": "sesame"}
    with pytest.raises(ConfigError, match="UDP"):
        read_target("sip:echo@a;transport=tls")


# -- the harness's own WebSocket, against the real one ---------------------------------------------


@given(
    texts=st.lists(st.text(max_size=300), min_size=1, max_size=5),
    long=st.integers(0, 70000),
    cut=st.integers(1, 60),
)
def test_its_frames_are_read_by_a_real_server_and_the_other_way_round(
    texts: list[str], long: int, cut: int
) -> None:
    texts = [*texts, "x" * long]
    server = WebSocketProtocol(
        "server", new_mask=new_mask, max_message_bytes=SocketLimits().message_bytes
    )
    sent = b"".join(text_frame(text.encode(), masked=True) for text in texts)
    parts = [sent[at : at + 5000] for at in range(0, len(sent), 5000)]
    assert [event for part in parts for event in server.receive(part)] == texts
    answered = b"".join(server.message(text) for text in texts)
    frames = Frames()
    read = [*frames.feed(answered[:cut]), *frames.feed(answered[cut:])]
    assert read == [(TEXT, text.encode()) for text in texts]


def test_it_closes_in_a_way_that_is_understood() -> None:
    server = WebSocketProtocol("server", new_mask=new_mask, max_message_bytes=100)
    (closed,) = server.receive(text_frame(b"\x03\xe8", masked=True, kind=CLOSE))
    assert (closed.code, closed.reason) == (1000, "")  # type: ignore[union-attr]


def test_its_answer_opens_a_real_client() -> None:
    client = ClientHandshake(host="h", target="/", nonce=bytes(16))
    outcome = client.receive(upgrade_answer(client.request()))
    assert outcome is not None
    assert client.refused is None
    assert b"GET /media/twilio HTTP/1.1\r\n" in upgrade_request("/media/twilio")


@given(number=st.integers(0, 2**32 - 1), at_s=st.floats(0, 1e9))
def test_a_stamp_is_read_where_it_stands(number: int, at_s: float) -> None:
    text = b'{"payload":"' + stamped(number, at_s) + b'"}'
    assert read_stamp(text, 12) == (number, at_s)
