"""What baresip and a real host say to each other on the wire: codecs, lengths of packets, SRTP."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.channels.sip.peers.baresip import ALIKE, Samples, baresip, likeness, speech_like
from tests.channels.sip.peers.conftest import REPOSITORY, Served, served
from tests.channels.sip.peers.processes import needs

pytestmark = [
    pytest.mark.slow,
    needs("baresip", "baresip-core"),
]

ROUTING = f"""
rules:
  - {{name: echo, pattern: echo, scenarios: [{REPOSITORY}/scenarios/echo.py]}}
  - {{name: forward, pattern: '.*', scenarios: [forward.py]}}
channels:
  sip: {{host: 127.0.0.1, port: 0, codecs: [opus, g722, pcma, pcmu], rtp_ports: 20000-29999}}
users:
  anna: ANNA
  bert: {{secret: BERT, srtp: require}}
  carl: {{secret: CARL, srtp: off}}
"""
FORWARD = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    other = VoxEngine.call_user(username=event.destination, callerid=event.callerid)
    VoxEngine.easy_process(event.call, other)
"""


@pytest.fixture(scope="module")
def secure_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("pylibsrtp", reason="pylibsrtp is not installed")
    pytest.importorskip("opuslib_next", reason="opuslib-next is not installed")
    pytest.importorskip("G722", reason="G722 is not installed")
    folder = tmp_path_factory.mktemp("secure")
    (folder / "forward.py").write_text(FORWARD)
    passwords = {name.upper(): f"secret-{name}" for name in ("anna", "bert", "carl")}
    yield from served(folder, ROUTING, **passwords)


def hum(seconds: float) -> Samples:
    """A voice without noise, for a codec that keeps what is heard rather than the wave."""
    t = np.arange(round(8000 * seconds)) / 8000
    pitch = 2 * np.pi * np.cumsum(140 + 20 * np.sin(2 * np.pi * 0.7 * t)) / 8000
    voice = sum(np.sin(n * pitch) / n for n in range(1, 8))
    return np.asarray(6000 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)), np.int16)


async def echoed(
    host: Served, user: str = "anna", *, says: Samples, codecs: str = "PCMU", more: str = ""
) -> float:
    """Call the echo, and return how much what comes back is what was sent."""
    async with baresip(
        user, at=host.at, password=f"secret-{user}", says=says, codecs=codecs, more=more
    ) as person:
        await person.dial(f"sip:echo@{host.at}")
        name = codecs.partition("/")[0]
        rate = {"G722": 2, "opus": 12}.get(name, 1)  # of its recordings; Opus is in stereo there
        await person.hears(rate * (len(says) / 8000 + 0.4))
        await person.hang_up()
        return likeness(person.said()[: rate * len(says)], person.heard())


@pytest.mark.parametrize("codecs", ["PCMU", "PCMA", "G722/16000/1", "opus/48000/2"])
async def test_every_codec_brings_back_what_was_said(secure_host: Served, codecs: str) -> None:
    says = hum(2) if codecs.startswith("opus") else speech_like(2)
    assert await echoed(secure_host, says=says, codecs=codecs) > ALIKE


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
async def test_packets_of_any_length(secure_host: Served, ptime_ms: int) -> None:
    more = f";ptime={ptime_ms}"
    assert await echoed(secure_host, says=speech_like(2), more=more) > ALIKE


@pytest.mark.parametrize("user", ["anna", "bert"])
async def test_srtp_that_the_phone_wants(secure_host: Served, user: str) -> None:
    more = ";mediaenc=srtp-mand"
    assert await echoed(secure_host, user, says=speech_like(2), more=more) > ALIKE


async def test_srtp_that_the_host_wants(secure_host: Served) -> None:
    more = ";mediaenc=srtp"
    assert await echoed(secure_host, "bert", says=speech_like(2), more=more) > ALIKE


@pytest.mark.parametrize(("user", "more"), [("bert", ""), ("carl", ";mediaenc=srtp-mand")])
async def test_one_side_wants_it_and_the_other_cannot(
    secure_host: Served, user: str, more: str
) -> None:
    async with baresip(user, at=secure_host.at, password=f"secret-{user}", more=more) as person:
        await person.command("dial", f"sip:echo@{secure_host.at}")
        assert "488" in (await person.sees("CALL_CLOSED"))["param"]


async def test_a_phone_that_wants_srtp_is_called_by_one_that_has_none(secure_host: Served) -> None:
    lead = np.zeros(8000, np.int16)  # what is said while the other's phone rings is lost
    ours, theirs = (np.concatenate([lead, speech_like(2, seed=n)]) for n in (1, 2))
    at = secure_host.at
    async with (
        baresip("carl", password="secret-carl", says=ours, at=at) as carl,
        baresip("bert", password="secret-bert", says=theirs, more=";mediaenc=srtp-mand",
                codecs="G722/16000/1", at=at) as bert,
    ):  # fmt: skip
        await carl.dial(f"sip:bert@{at}")
        await carl.hears(len(ours) / 8000 + 0.5)
        await bert.hears(2 * (len(ours) / 8000 + 0.5))
        await bert.hang_up()
        said = bert.said()[::2][8000 : len(theirs)]  # its own resampler has made it duller
        assert likeness(said, carl.heard()) > ALIKE
        assert likeness(ours[8000:], bert.heard()[::2]) > ALIKE
