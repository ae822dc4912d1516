"""``Pipecat``: has the caller finished, or only paused? (VoxEngine: Pipecat module.)

The model is Smart Turn v3.2, which the package pipecat-ai carries (``pip install 'voxpy[turn]'``):
it judges the last eight seconds by how they sound, not by their words. Nothing of the package is
imported; its file is found and checked by its digest. The model hears what Whisper hears: a log-mel
spectrogram of 80 bands, of a waveform of zero mean and unit variance (Radford et al., "Robust
Speech Recognition via Large-Scale Weak Supervision", and librosa's Slaney bands).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections import deque
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
import trio

from voxpy.audio.frame import Samples, pcm16
from voxpy.engine import clock
from voxpy.engine.context import current
from voxpy.engine.events import Event, Namespace, event_class
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaUnit
from voxpy.errors import EngineMissing, NotSupported, ScenarioError
from voxpy.media.unit import MediaPort
from voxpy.realtime.envelope import EventData

__all__ = ["Pipecat", "TurnDetector", "TurnEvent", "TurnEvents", "log_mel", "probability_of_end"]

RATE_HZ = 16000
WINDOW_S = 8
FILE = "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
_FFT, _HOP, _BANDS = 400, 160, 80

Floats = npt.NDArray[np.float64]


@event_class
class TurnEvent(Event):
    """Base of the detector's events; ``data.payload`` is VoxEngine's, in its spelling."""

    turn_detector: TurnDetector
    data: EventData = attrs.field(factory=EventData)


class TurnEvents(metaclass=Namespace):
    """Events of a turn detector (VoxEngine: Pipecat.TurnEvents)."""

    @event_class
    class Result(TurnEvent):
        """The answer to ``predict``: whether the turn is over, and how sure that is."""

        name: ClassVar[str] = "Pipecat.Turn.Result"
        end_of_turn: bool = False
        probability: float = 0.0

    @event_class
    class Reset(TurnEvent):
        """What was heard is forgotten."""

        name: ClassVar[str] = "Pipecat.Turn.Reset"

    @event_class
    class Error(TurnEvent):
        """The model failed; ``data.payload`` says how."""

        name: ClassVar[str] = "Pipecat.Turn.Error"

    @event_class
    class ConnectorInformation(TurnEvent):
        """The first event."""

        name: ClassVar[str] = "Pipecat.Turn.ConnectorInformation"


class TurnDetector(MediaUnit):
    """Hears one stream, and judges it when asked (VoxEngine: Pipecat.TurnDetector).

    Made by ``Pipecat.create_turn_detector``. Send it a call; when a voice detector says that speech
    has ended, ``predict()`` tells whether the turn has.
    """

    _catalog: ClassVar[Catalog] = {"Pipecat.TurnEvents": TurnEvents}

    def __init__(self, session: Session, threshold: float, seconds: float) -> None:
        super().__init__(session, session.new_id("turn"))
        self._threshold = threshold
        self._frames: deque[bytes] = deque(maxlen=round(seconds * 50))
        self.format = pcm16(RATE_HZ)
        self.media = MediaPort(name=self.id(), sink=self)
        self._closed = False

    def push(self, frame: bytes) -> None:
        """Take 20 ms of the stream: the media graph's."""
        self._frames.append(frame)

    def web_socket_id(self) -> str:
        """Raises NotSupported: it runs in this process, without a WebSocket."""
        raise NotSupported("TurnDetector.web_socket_id(): it runs in this process, no WebSocket")

    def predict(self) -> None:
        """Judge what was heard last; ``TurnEvents.Result`` follows."""
        self._session.trace.command("TurnDetector.predict", unit=self.id())
        if not self._closed:
            heard = np.frombuffer(b"".join(self._frames), "<i2")
            self._session.spawn(f"{self.id()} predict", self._predict, heard)

    def reset(self) -> None:
        """Forget what was heard; ``TurnEvents.Reset`` follows."""
        self._session.trace.command("TurnDetector.reset", unit=self.id())
        self._frames.clear()
        self._tell(TurnEvents.Reset, {})

    def close(self) -> None:
        """Stop listening; no event follows. Idempotent."""
        self._session.trace.command("TurnDetector.close", unit=self.id())
        self._closed = True
        self._session.graph.remove(self.media)

    async def _predict(self, heard: Samples) -> None:
        if clock.is_virtual():  # which threads would not wait for
            sure = probability_of_end(heard)
            await trio.lowlevel.checkpoint()
        else:
            sure = await trio.to_thread.run_sync(probability_of_end, heard)
        over = sure > self._threshold
        payload = {"endOfTurn": over, "probability": sure}
        self._tell(TurnEvents.Result, payload, end_of_turn=over, probability=sure)

    def _tell(self, kind: type[TurnEvent], payload: dict[str, Any], **fields: Any) -> None:
        if not self._closed:
            data = EventData(custom_event=kind.__name__, payload=payload)
            self._post(kind(turn_detector=self, data=data, **fields))


class Pipecat(metaclass=Namespace):
    """The Pipecat module; also what ``require(Modules.Pipecat)`` returns."""

    TurnDetector: TypeAlias = TurnDetector
    TurnEvents: TypeAlias = TurnEvents

    @staticmethod
    async def create_turn_detector(
        *, threshold: float = 0.5, pre_speech_ms: int = 500, max_duration_secs: float = 8
    ) -> TurnDetector:
        """Load a detector and return it; then ``call.send_media_to(detector)``.

        threshold: probability above which a turn is over, 0 to 1.
        pre_speech_ms: taken for VoxEngine's sake: all that was heard is judged.
        max_duration_secs: how much of the past, 1 to 8 seconds.

        Raises ScenarioError for a wrong argument, EngineMissing without ``voxpy[turn]``. VoxEngine:
        Pipecat.createTurnDetector.
        """
        function = "Pipecat.create_turn_detector"
        for name, value, low, high in (
            ("threshold", threshold, 0, 1),
            ("max_duration_secs", max_duration_secs, 1, WINDOW_S),
            ("pre_speech_ms", pre_speech_ms, 0, 10_000),
        ):
            if isinstance(value, bool) or not low <= value <= high:
                raise ScenarioError(f"{name} must be {low} to {high}, not {value!r}")
        session = current(function)
        if clock.is_virtual():
            _model()
            await trio.lowlevel.checkpoint()
        else:
            await trio.to_thread.run_sync(_model)
        detector = TurnDetector(session, threshold, max_duration_secs)
        session.trace.command(function, unit=detector.id(), threshold=threshold)
        detector._tell(TurnEvents.ConnectorInformation, {"id": detector.id(), "model": FILE})
        return detector


# -- the model -------------------------------------------------------------------------------------


@functools.cache
def _model() -> Any:
    """Return the model's session. Raises EngineMissing."""
    found = importlib.util.find_spec("pipecat")
    places = [] if found is None else list(found.submodule_search_locations or ())
    path = next((p for place in places if (p := Path(place) / FILE).exists()), None)
    if path is None:
        raise EngineMissing(
            "the turn detector needs Smart Turn, which pipecat-ai carries: "
            "pip install 'voxpy[turn]'"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise EngineMissing(f"{path} is not the Smart Turn that was measured (v3.2)")
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineMissing("the turn detector needs: pip install 'voxpy[turn]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def probability_of_end(heard: Samples) -> float:
    """Return how likely it is that the turn is over. 16 kHz; the last eight seconds count."""
    whole = np.zeros(RATE_HZ * WINDOW_S, np.float32)
    tail = np.asarray(heard, np.float32)[-len(whole) :] / 32768
    if len(tail):
        whole[-len(tail) :] = tail
    features = log_mel(whole)[np.newaxis].astype(np.float32)
    return float(_model().run(None, {"input_features": features})[0][0].item())


def log_mel(samples: npt.NDArray[np.float32]) -> Floats:
    """Return the spectrogram of a waveform: a column for each 10 ms, between about -1 and 1."""
    wave = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    padded = np.pad(wave.astype(np.float64), _FFT // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    hann = np.hanning(_FFT + 1)[:-1]
    power = np.abs(np.fft.rfft(windows * hann)) ** 2
    logs = np.log10(np.maximum(_bands() @ power.T, 1e-10))[:, :-1]
    result: Floats = (np.maximum(logs, logs.max() - 8) + 4) / 4
    return result


@functools.cache
def _bands() -> Floats:
    """Return Slaney's triangular bands: linear up to 1 kHz, logarithmic above, of equal area."""
    step = np.log(6.4) / 27
    top = 15 + np.log(RATE_HZ / 2 / 1000) / step
    mels = np.linspace(0, top, _BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * step))
    lines = np.linspace(0, RATE_HZ / 2, _FFT // 2 + 1)
    rising = (lines - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - lines) / (edges[2:] - edges[1:-1])[:, None]
    areas = 2 / (edges[2:] - edges[:-2])
    bands: Floats = np.maximum(0, np.minimum(rising, falling)) * areas[:, None]
    return bands
