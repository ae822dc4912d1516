"""baresip as a person with a phone: it registers, calls, answers, presses keys, records.

It is steered over its control port (``ctrl_tcp``: JSON in netstrings). A key command of 1.0.0 has
no answer worth waiting for; what happened is in ``events``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import trio

from tests.channels.sip.peers.processes import free_ports, running, until
from voxpy.audio.frame import pcm16
from voxpy.audio.wav import WavWriter, read_wav

RATE_HZ = 8000
ALIKE = 0.9
"""Another voice has 0.2. How well each codec keeps a sound is measured on virtual time, where no
machine is too busy to play a packet (``test_media.py``)."""
KEY_S = 0.25
"""How long somebody's finger stays on a key."""
MODULES = "/usr/lib/baresip/modules"
Samples = npt.NDArray[np.int16]

CONFIG = """
poll_method             epoll
sip_listen              127.0.0.1:{sip}
{trusts}
call_local_timeout      120
call_max_calls          200
audio_path              /usr/share/baresip
audio_source            aufile,{folder}/says.wav
audio_player            aubridge,loudspeaker{sip}
audio_alert             aubridge,bell{sip}
ausrc_srate             8000
auplay_srate            8000
ausrc_channels          1
auplay_channels         1
audio_level             no
rtp_ports               30000-32000
rtp_timeout             60
jitter_buffer_delay     5-10
net_interface           127.0.0.1
module_path             {modules}
module                  g711.so
module                  g722.so
module                  opus.so
module                  aufile.so
module                  aubridge.so
module                  sndfile.so
module                  srtp.so
snd_path                {folder}/rec
module_tmp              uuid.so
module_tmp              account.so
module_app              menu.so
module_app              ctrl_tcp.so
ctrl_tcp_listen         127.0.0.1:{control}
"""


@attrs.define(eq=False)
class Baresip:
    """One baresip. ``events`` has what its control port told, in order."""

    user: str
    folder: Path
    port: int
    control: trio.SocketStream = attrs.field(init=False)
    events: list[dict[str, Any]] = attrs.field(factory=list)

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@127.0.0.1:{self.port}"

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("type") == kind]

    @property
    def digits(self) -> str:
        """What the other end has pressed."""
        return "".join(event["param"] for event in self.told("CALL_DTMF_START"))

    async def command(self, name: str, params: str = "") -> None:
        text = json.dumps({"command": name, "params": params, "token": name}).encode()
        await self.control.send_all(b"%d:%s," % (len(text), text))

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.command("sndcode", key)
            await trio.sleep(KEY_S)
            await self.command("sndcode", "")  # let it go

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        await until(condition, lambda: f"{self.user}: never {what}\n{self.printed()}")

    async def sees(self, kind: str, times: int = 1) -> dict[str, Any]:
        """Wait for the nth event of a kind, and return it."""
        await self.until(lambda: len(self.told(kind)) >= times, f"{kind} ({times})")
        return self.told(kind)[times - 1]

    async def dial(self, uri: str) -> None:
        """Call somebody, and wait for the answer."""
        times = len(self.told("CALL_ESTABLISHED")) + 1
        await self.command("dial", uri)
        await self.sees("CALL_ESTABLISHED", times)

    async def hang_up(self) -> None:
        times = len(self.told("CALL_CLOSED")) + 1
        await self.command("hangup")
        await self.sees("CALL_CLOSED", times)

    def said(self, call: int = 0) -> Samples:
        """Return what it has sent in a call."""
        return self._recorded("enc", call)

    def heard(self, call: int = 0) -> Samples:
        """Return what it has received in a call."""
        return self._recorded("dec", call)

    async def hears(self, seconds: float, call: int = 0) -> None:
        """Wait until it has received so much audio."""
        enough = round(seconds * RATE_HZ)
        await self.until(lambda: len(self.heard(call)) >= enough, f"heard {seconds:.1f} s")

    async def recognises(self, sent: Samples, call: int = 0) -> None:
        """Wait until a second that it receives is of ``sent``: on a busy machine not the first."""
        seconds, found = len(self.heard(call)) / RATE_HZ + 1.5, 0.0
        while found <= ALIKE:
            assert seconds < len(sent) / RATE_HZ, found
            await self.hears(seconds, call)
            found = recognised(self.heard(call), sent)
            seconds += 0.5

    def _recorded(self, way: str, call: int) -> Samples:
        found = sorted((self.folder / "rec").glob(f"*-{way}.wav"))
        if len(found) <= call:
            return np.zeros(0, np.int16)
        data = found[call].read_bytes()
        if data[4:8] == bytes(4):  # still being written: the sizes come with the end
            return np.frombuffer(data[44 : len(data) // 2 * 2], np.int16)
        with found[call].open("rb") as file:
            return np.asarray(read_wav(file, name=found[call].name).samples, np.int16).reshape(-1)

    def printed(self) -> str:
        text = (self.folder / "printed.txt").read_text(errors="replace")
        return "\n".join(
            line
            for line in text.splitlines()
            if line.strip() and "RTP packet" not in line and "(bit/s)" not in line
        )

    async def listen(self) -> None:
        """Read the control port until it closes."""
        data = b""
        async for part in self.control:
            data += bytes(part)
            while b":" in data:
                size, rest = data.split(b":", 1)
                if len(rest) <= int(size):
                    break
                self.events.append(json.loads(rest[: int(size)]))
                data = rest[int(size) + 1 :]


@asynccontextmanager
async def baresip(
    user: str = "anna",
    *,
    at: str = "",
    password: str = "",
    transport: str = "udp",
    answers: bool = True,
    says: Samples | None = None,
    codecs: str = "PCMU,PCMA",
    more: str = "",
    certificate: Path | str = "",
) -> AsyncIterator[Baresip]:
    """Switch a phone on. ``at``: where it registers, host:port; ``more``: of its account line.

    What it says begins with each call's audio; twenty seconds of silence follow, because the end of
    a file hangs up.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rec").mkdir()
        sip, control = free_ports(2), free_ports()  # TLS is on the next one
        text = CONFIG.format(
            sip=sip,
            control=control,
            folder=folder,
            trusts=f"sip_cafile {certificate}" if certificate else "",
            modules=MODULES,
        )
        (folder / "config").write_text(text)
        where = f"{at};transport={transport}" if at else f"127.0.0.1:{sip}"
        registers = f";auth_user={user};auth_pass={password};regint=600" if at else ";regint=0"
        mode = "auto" if answers else "manual"
        (folder / "accounts").write_text(
            f"<sip:{user}@{where}>{registers};answermode={mode};dtmfmode=rtpevent"
            f";audio_codecs={codecs}{more}\n"
        )
        (folder / "contacts").write_text("")
        _write_wav(folder / "says.wav", np.zeros(0, np.int16) if says is None else says)
        command = ["baresip", "-4", "-v", "-f", name]
        async with running(command, folder / "printed.txt"):
            phone = Baresip(user, folder, sip)
            await phone.until(lambda: "baresip is ready" in phone.printed(), "ready")
            phone.control = await trio.open_tcp_stream("127.0.0.1", control)
            async with phone.control, trio.open_nursery() as nursery:
                nursery.start_soon(phone.listen)
                if at:  # the event may have been before anybody listened
                    await phone.until(lambda: "200 OK" in phone.printed(), "registered")
                yield phone
                nursery.cancel_scope.cancel()


def _write_wav(path: Path, samples: Samples) -> None:
    with path.open("wb") as file:
        writer = WavWriter(file, pcm16(RATE_HZ), channels=1)
        writer.write(samples.tobytes())
        writer.write(bytes(RATE_HZ * 2 * 20))
        writer.close()


def recognised(received: Samples, sent: Samples) -> float:
    """Return how alike the latest second is to something that was sent: the median of its pieces.

    A jitter buffer that finds its depth, as after a transfer, moves one piece against the next.
    """
    return likeness(received[-RATE_HZ:], sent, parts=5)


def speech_like(seconds: float, *, seed: int = 7) -> Samples:
    """Return noise of the telephone's band in syllables: like itself at one delay only."""
    noise = np.random.default_rng(seed).normal(0, 6000, round(RATE_HZ * seconds))
    smooth = np.convolve(noise, np.hanning(6) / 2.5, "same")
    syllables = 0.55 + 0.45 * np.sin(np.arange(len(noise)) * 2 * np.pi * 3.7 / RATE_HZ)
    return (smooth * syllables).clip(-32768, 32767).astype(np.int16)


def likeness(sent: Samples, heard: Samples, *, parts: int = 10) -> float:
    """Return how much what was heard is what was sent: the median of ten parts, wherever each is.

    A machine that is too busy for 20 ms makes a delay longer for the rest of a call; what comes
    after it is as good as what came before.
    """
    b = heard.astype(float)
    powers = np.concatenate([[0.0], np.cumsum(b * b)])
    found = []
    for a in np.array_split(sent.astype(float), parts):
        size = 1 << (len(a) + len(b)).bit_length()
        cross = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)
        cross = cross[: len(b) - len(a)]
        power = (a @ a) * (powers[len(a) :] - powers[: -len(a)])[: len(cross)]
        found.append(float(np.max(cross / np.sqrt(np.maximum(power, 1.0)))))
    return float(np.median(found))
