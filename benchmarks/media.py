"""What 20 ms of media cost, stage by stage and as a whole bridge, next to bare floors.

Run ``python benchmarks/media.py [--json]``. Two floors are measured in the same run, because ratios
can be compared between machines and microseconds cannot:

- a *frame*: 480 samples from bytes to an array and back, which any path through numpy pays;
- the *bridge*: mu-law by table, 8 to 24 kHz by repeating and dropping samples (no filter at all),
  orjson and base64, both ways. What is above it is the filter, the format checks and the graph.

Every figure is the best of several runs: what disturbs a measurement only ever adds to it.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
import timeit
from collections.abc import Callable, Iterator

import numpy as np
import orjson

from voxpy.audio.comfort import ComfortNoise
from voxpy.audio.conceal import Concealer
from voxpy.audio.convert import Converter
from voxpy.audio.dtmf import DtmfDetector
from voxpy.audio.frame import FRAME_S, PCM16_RATES_HZ, PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from voxpy.audio.line import Line
from voxpy.audio.mix import audible, gain, mix, rms_dbfs
from voxpy.audio.resample import Resampler
from voxpy.channels.simulated import Transmission
from voxpy.media.conference import MixMinus
from voxpy.media.graph import MediaGraph
from voxpy.media.jitter import Packet
from voxpy.media.playout import Playout
from voxpy.media.receiver import Receiver
from voxpy.media.recorder import Tape, Tracks, both_sides
from voxpy.media.unit import MediaPort
from voxpy.wire.realtime.events.codec import decode_audio, encode_append, encode_audio_delta, load

Stage = Callable[[], object]
ROUNDS = 150
CALLS = 40  # well below a time slice: some rounds then have the core to themselves

NARROW, WIDE = pcm16(8000), pcm16(24000)
RANDOM = np.random.default_rng(1)
NARROW_SAMPLES = (3000 * RANDOM.standard_normal(160)).astype(np.int16)
WIDE_SAMPLES = (3000 * RANDOM.standard_normal(480)).astype(np.int16)
ULAW, ALAW, PCM = encode_ulaw(NARROW_SAMPLES), encode_alaw(NARROW_SAMPLES), WIDE_SAMPLES.tobytes()
PART = b'"response_id":"resp_0001","item_id":"item_0001","output_index":0,"content_index":0'
DELTA = encode_audio_delta(PCM, event_id="event_1", part=PART).decode()
APPEND = encode_append(PCM).decode()

FRAME_FLOOR = "floor: bytes -> array -> bytes, 480 samples"
BRIDGE_FLOOR = "floor: bare numpy + orjson + base64, both ways"
BRIDGE = "whole bridge, mu-law <-> 24 kHz JSON, both ways"


def frame_floor() -> bytes:
    return np.frombuffer(PCM, np.int16).tobytes()


def bridge_floor() -> Stage:
    """Return the least that numpy, orjson and base64 take to do a bridge's format changes."""
    to_linear = decode_ulaw(bytes(range(256)))
    every_sample = np.arange(65536).astype(np.uint16).view(np.int16)
    to_ulaw = np.frombuffer(encode_ulaw(every_sample), np.uint8)

    def bridge() -> bytes:
        wide = to_linear.take(np.frombuffer(ULAW, np.uint8)).repeat(3)
        audio = base64.b64encode(wide.tobytes()).decode("ascii")
        orjson.dumps({"type": "input_audio_buffer.append", "audio": audio})
        back = np.frombuffer(base64.b64decode(orjson.loads(DELTA)["delta"]), np.int16)
        return to_ulaw.take(back[::3].view(np.uint16)).tobytes()

    return bridge


def whole_bridge() -> Stage:
    """Return a graph tick of a call and an agent, with the wire format made and read."""

    class Agent:
        format = WIDE

        def push(self, frame: bytes) -> None:
            encode_append(frame)

    voice = Playout(WIDE, limit_s=10.0)
    tick = graph_tick(MediaPort(name="agent", source=voice, sink=Agent()))

    def bridge() -> None:
        voice.write(decode_audio(load(DELTA)["delta"], "$.delta"), item_id="item")
        tick()

    return bridge


class Phone:
    """A leg that always speaks."""

    format: Format = PCMU

    def pull(self) -> bytes:
        return ULAW

    def push(self, frame: bytes) -> None:
        """Hear it."""


class Wideband:
    """An agent that always speaks."""

    format: Format = WIDE

    def pull(self) -> bytes:
        return PCM

    def push(self, frame: bytes) -> None:
        """Hear it."""


def graph_tick(agent: MediaPort, *, recorded: bool = False) -> Stage:
    """Return the tick of a graph with a call bridged to ``agent``."""
    graph, phone = MediaGraph(), Phone()
    call = MediaPort(name="call", source=phone, sink=phone)
    graph.attach(call)
    graph.connect(call, agent)
    graph.connect(agent, call)
    if recorded:

        def on_block() -> None:
            recording.take()

        recording = Tape(2, on_block=on_block)
        graph.tap(call, both_sides(call, recording))
    ticks = itertools.count()
    return lambda: graph.tick(next(ticks) * FRAME_S)


def agent_port(end: Phone | Wideband) -> MediaPort:
    return MediaPort(name="agent", source=end, sink=end)


def conference(members: int) -> Stage:
    """Return one tick of a mix-minus in which everybody speaks."""
    mixer = MixMinus(NARROW, name="conference")
    ports = [mixer.port(str(n)) for n in range(members)]
    frame = NARROW_SAMPLES.tobytes()

    def tick() -> None:
        for port in ports:
            assert port.sink is not None
            port.sink.push(frame)
        mixer.mix()
        for port in ports:
            assert port.source is not None
            port.source.pull()

    return tick


def jitter() -> Stage:
    """Return a packet put and a frame pulled, concealment and all, on a punctual line."""
    receiver, ticks = Receiver(PCMU), itertools.count()

    def exchange() -> None:
        n = next(ticks)
        packet = Packet(
            sequence=n & 0xFFFF, timestamp=n * 160 & 0xFFFFFFFF, payload=ULAW, marker=n == 0
        )
        receiver.put(packet, n * FRAME_S)
        receiver.pull(n * FRAME_S)

    return exchange


def concealed() -> Stage:
    """Return one lost frame and the good one that follows it."""
    concealer = Concealer(PCMU)

    def hole() -> None:
        concealer.play(None)
        concealer.play(ULAW)

    return hole


def playout() -> Stage:
    voice = Playout(WIDE, limit_s=10.0)

    def exchange() -> None:
        voice.write(PCM, item_id="item")
        voice.pull()

    return exchange


def tape(*, with_saving: bool) -> Stage:
    """Return 20 ms on the tape; with what a block of it costs elsewhere than on the event loop."""
    tracks = Tracks(8000, stereo=True)

    def on_block() -> None:
        block = recording.take()
        if with_saving:
            tracks.pcm(block).tobytes()

    recording = Tape(2, on_block=on_block)
    return lambda: recording.add((PCMU, ULAW), (PCMU, ULAW))


def resample(from_hz: int, to_hz: int) -> Stage:
    resampler = Resampler(from_hz, to_hz)
    noise = np.random.default_rng(1).integers(-9000, 9000, pcm16(from_hz).frame_samples)
    frame: Samples = noise.astype(np.int16)
    return lambda: resampler.process(frame)


def stages() -> Iterator[tuple[str, Stage]]:
    """Yield every stage as a call that processes one frame of noise."""
    up, down = Converter(PCMU, WIDE), Converter(WIDE, PCMU)
    laws, same = Converter(PCMU, PCMA), Converter(PCMU, PCMU)
    comfort = ComfortNoise(PCMU, seed=1)
    comfort.describe(b"\x28\x40\xa0")
    good, perfect = Concealer(PCMU), Transmission(Line())
    bad = Transmission(Line(loss=0.02, jitter_ms=20, noise_dbfs=-50))
    detector, wide_detector = DtmfDetector(8000), DtmfDetector(16000)
    wide_frame = (3000 * np.random.default_rng(2).standard_normal(320)).astype(np.int16)
    yield "decode mu-law", lambda: decode_ulaw(ULAW)
    yield "encode mu-law", lambda: encode_ulaw(NARROW_SAMPLES)
    yield "decode A-law", lambda: decode_alaw(ALAW)
    yield "encode A-law", lambda: encode_alaw(NARROW_SAMPLES)
    yield "convert pcmu -> pcmu", lambda: same.convert(ULAW)
    yield "convert pcmu -> pcma", lambda: laws.convert(ULAW)
    yield "convert pcmu/8000 -> pcm16/24000", lambda: up.convert(ULAW)
    yield "convert pcm16/24000 -> pcmu/8000", lambda: down.convert(PCM)
    for from_hz, to_hz in itertools.permutations(PCM16_RATES_HZ, 2):
        yield f"resample {from_hz} -> {to_hz}", resample(from_hz, to_hz)
    yield "gain, 480 samples", lambda: gain(WIDE_SAMPLES, 0.5)
    yield "rms_dbfs, 480 samples", lambda: rms_dbfs(WIDE_SAMPLES)
    yield "audible, mu-law noise", lambda: audible(ULAW, PCMU)
    yield "audible, mu-law silence", lambda: audible(PCMU.silence, PCMU)
    for n in (2, 10, 50):
        streams = [WIDE_SAMPLES] * n
        yield f"mix {n}, 480 samples", lambda streams=streams: mix(*streams)  # type: ignore[misc]
    for n in (3, 10, 50):
        yield f"conference of {n}, all speaking, 8 kHz", conference(n)
    yield "conceal: a good frame", lambda: good.play(ULAW)
    yield "conceal: a lost frame and the next", concealed()
    yield "comfort noise, coloured", comfort.pull
    yield "receiver: jitter put + get", jitter()
    yield "simulated line, perfect", lambda: perfect.carry(ULAW)
    yield "simulated line, loss + jitter + noise", lambda: bad.carry(ULAW)
    yield "DTMF detector, 8 kHz noise", lambda: detector.process(NARROW_SAMPLES)
    yield "DTMF detector, 16 kHz noise", lambda: wide_detector.process(wide_frame)
    yield "playout: write + pull", playout()
    yield "realtime: append encoded, 24 kHz", lambda: encode_append(PCM)
    yield "realtime: append decoded", lambda: decode_audio(load(APPEND)["audio"], "$.audio")
    yield (
        "realtime: delta encoded, 24 kHz",
        lambda: encode_audio_delta(PCM, event_id="event_1", part=PART),
    )
    yield "realtime: delta decoded", lambda: decode_audio(load(DELTA)["delta"], "$.delta")
    yield "recorder tap, stereo", tape(with_saving=False)
    yield "recorder tap, and its PCM in the thread", tape(with_saving=True)
    yield "graph tick, bridged pair, both mu-law", graph_tick(agent_port(Phone()))
    yield "graph tick, bridged pair, mu-law and 24 kHz", graph_tick(agent_port(Wideband()))
    yield (
        "graph tick, bridged pair, both mu-law, recorded",
        graph_tick(agent_port(Phone()), recorded=True),
    )


def microseconds(stage: Stage) -> float:
    return min(timeit.repeat(stage, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def measured() -> dict[str, dict[str, float]]:
    """Return microseconds and the ratio to its floor for every stage."""
    floor_us = microseconds(frame_floor)
    table = {FRAME_FLOOR: {"us": floor_us, "ratio": 1.0}}
    for name, stage in stages():
        cost_us = microseconds(stage)
        table[name] = {"us": cost_us, "ratio": cost_us / floor_us}
    bare_us, ours_us = microseconds(bridge_floor()), microseconds(whole_bridge())
    table[BRIDGE_FLOOR] = {"us": bare_us, "ratio": 1.0}
    table[BRIDGE] = {"us": ours_us, "ratio": ours_us / bare_us}
    return table


def main() -> None:
    table = measured()
    if "--json" in sys.argv[1:]:
        print(json.dumps(table, indent=2))
        return
    print(f"{'stage, per 20 ms frame':<54}{'us':>8}{'x floor':>9}")
    for name, row in table.items():
        print(f"{name:<54}{row['us']:>8.2f}{row['ratio']:>9.1f}")


if __name__ == "__main__":
    main()
