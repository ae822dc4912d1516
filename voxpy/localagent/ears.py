"""Speech to text: moonshine tiny-en (English, MIT), run in plain onnxruntime.

The weights come out of the ``moonshine-voice`` wheel, whose own code is never imported: its C
library took twice as long for the same words. One utterance of a phone call costs 30 to 70 ms
of one core.

The model always finds words, in silence ("You") as well as in ringback (music notes), so it must
only be given what a speech gate let through, and what it is known to invent is dropped here.
"""

from __future__ import annotations

import math
import re
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.engine.speech import Recognised
from voxpy.localagent.spelling import normalise_digits
from voxpy.localagent.weights import (
    MOONSHINE_DECODER,
    MOONSHINE_ENCODER,
    MOONSHINE_TOKENIZER,
    locate,
    missing,
)
from voxpy.media.memory import quietest_cut

RATE_HZ = 16_000
"""What ``Ears.transcribe`` expects."""

_START_TOKEN, _END_TOKEN = 1, 2
_LAYERS, _HEADS, _HEAD_WIDTH = 6, 8, 36  # the shape of the tiny model's attention cache
_TOKENS_PER_S = 6.5  # speech needs fewer; bounds a decoder that repeats itself for ever
_SHORTEST_SAMPLES = RATE_HZ // 10  # below this the encoder's strides leave nothing to attend to
_LONGEST_SAMPLES = 24 * RATE_HZ  # cost grows with the square, and words go missing beyond 30 s
_SEARCH_S = 6.0  # where the quietest place to cut a longer utterance is looked for
_SILENT_PEAK = 33  # -60 dBFS: nothing a phone line carries as speech is this quiet
_LEAD_SAMPLES, _TAIL_SAMPLES = RATE_HZ // 5, RATE_HZ // 2
"""Silence put around every utterance: without it a third of all spelled numbers ended in babble."""
_RUNAWAY_LOGP = -0.5
"""Mean log-probability of a token below which words that never came to an end are no words: white
noise gave -0.8 to -1.8, speech at 15 dB above noise -0.05 to -0.5."""

_INVENTED = frozenset({"", "you"})
"""Complete transcripts the model writes for silence and noise (lower case, letters only)."""


@attrs.frozen
class _Decoded:
    text: str
    logp: float
    n_tokens: int


_NO_WORDS = _Decoded("", 0.0, 0)


class Ears:
    """The recogniser. One instance serves every call of the process, from any thread.

    Without a lock: all state of a transcription is local to it, and onnxruntime documents ``run``
    of one session as safe from several threads.

    Raises EngineMissing when onnxruntime or a weight file is absent or not the expected one.
    """

    languages = ("en",)

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as exc:
            raise missing(MOONSHINE_ENCODER.engine, f"onnxruntime does not import ({exc})") from exc
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more threads would only take cores from other calls
        options.inter_op_num_threads = 1
        options.log_severity_level = 3

        def session(path: Any) -> Any:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

        self._pieces = parse_tokenizer(locate(MOONSHINE_TOKENIZER).read_bytes())
        self._encoder = session(locate(MOONSHINE_ENCODER))
        self._decoder = session(locate(MOONSHINE_DECODER))
        self._cached_names = [i.name for i in self._decoder.get_inputs() if "past" in i.name]

    def warm_up(self) -> None:
        """Run once on a second of quiet noise, so that the first caller does not pay for it."""
        noise = np.random.default_rng(0).normal(0.0, 1e-3, RATE_HZ).astype(np.float32)
        self._words(noise)

    def transcribe(self, samples: npt.NDArray[np.int16]) -> str:
        """Return the words in ``samples`` (16 kHz mono int16, shape (n,)) or ``""`` if none.

        Blocks for about 3 % of the audio's length. Spelled digits come back joined, see
        ``normalise_digits``.
        """
        return self.recognise(samples).text

    def recognise(self, samples: npt.NDArray[np.int16]) -> Recognised:
        """Return the words, and as confidence the mean probability of a token of them.

        The geometric mean over the decoder's own choices, its end mark included; 0.0 for no words.
        """
        parts = [self._part(part) for part in split_long(samples)]
        spoken = [part for part in parts if part.text]
        logp = sum(part.logp for part in spoken)
        text = normalise_digits(" ".join(part.text for part in spoken))
        n_tokens = sum(part.n_tokens for part in spoken)
        return Recognised(text, math.exp(logp / n_tokens) if spoken else 0.0)

    def _part(self, samples: npt.NDArray[np.int16]) -> _Decoded:
        if (
            len(samples) < _SHORTEST_SAMPLES
            or int(np.abs(samples.astype(np.int32)).max()) < _SILENT_PEAK
        ):
            return _NO_WORDS
        audio = np.zeros(_LEAD_SAMPLES + len(samples) + _TAIL_SAMPLES, np.float32)
        audio[_LEAD_SAMPLES : _LEAD_SAMPLES + len(samples)] = samples
        decoded = self._words(audio / 32768.0)
        return decoded if without_invented(decoded.text) else _NO_WORDS

    def _words(self, audio: npt.NDArray[np.float32]) -> _Decoded:
        audio = audio[np.newaxis, :]
        # The mask must have the length of the audio for both networks: with the length of the
        # encoded frames the decoder fails on anything beyond 9 s.
        mask = np.ones(audio.shape, np.int64)
        encoded = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})[0]
        most = max(4, int(audio.shape[1] / RATE_HZ * _TOKENS_PER_S))
        tokens, logp = self._decode(encoded, mask, most)
        return _Decoded(self._text(tokens), logp, len(tokens) + 1)

    def _decode(
        self, encoded: npt.NDArray[np.float32], mask: Any, most: int
    ) -> tuple[list[int], float]:
        """Return up to ``most`` tokens, greedily, without the marks; none if it only babbled.

        With them the logarithm of their probability.
        """
        empty = np.zeros((1, _HEADS, 0, _HEAD_WIDTH), np.float32)
        cache: dict[str, Any] = dict.fromkeys(self._cached_names, empty)
        fixed = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask}
        tokens: list[int] = []
        logp = 0.0
        last = _START_TOKEN
        for step in range(most):
            first = step == 0
            ids = {"input_ids": np.array([[last]], np.int64)}
            logits, *present = self._decoder.run(
                None, fixed | cache | ids | {"use_cache_branch": np.array([not first])}
            )
            scores = logits[0, -1]
            last = int(scores.argmax())
            logp -= float(np.log(np.exp(scores - scores[last]).sum()))
            if last == _END_TOKEN:
                return tokens, logp
            tokens.append(last)
            computed = zip(self._cached_names, present, strict=True)
            # Keys and values of the encoder come out of the first step only.
            cache.update((name, new) for name, new in computed if first or ".decoder." in name)
        return (tokens, logp) if logp / most > _RUNAWAY_LOGP else ([], 0.0)

    def _text(self, tokens: list[int]) -> str:
        pieces = b"".join(self._pieces[t] for t in tokens if _END_TOKEN < t < len(self._pieces))
        text = pieces.decode("utf-8", "replace").replace("\u2581", " ")
        return re.sub(r"<<ST_\d+>>|\s+", " ", text).strip()


def parse_tokenizer(data: bytes) -> list[bytes]:
    """Return the pieces of a moonshine ``tokenizer.bin``, by token number.

    The file is a run of pieces, each behind its length: one byte up to 127, else two, the low seven
    bits first. Raises ValueError when the last piece is cut short.
    """
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = data[at]
        at += 1
        if size >= 128 and at < len(data):
            size += (data[at] - 1) * 128
            at += 1
        if at + size > len(data):
            raise ValueError(f"piece {len(pieces)} of the tokenizer is cut short")
        pieces.append(data[at : at + size])
        at += size
    return pieces


def split_long(samples: npt.NDArray[np.int16]) -> list[npt.NDArray[np.int16]]:
    """Return ``samples`` (16 kHz) in parts of at most 24 s, cut where it is quietest."""
    parts = []
    while len(samples) > _LONGEST_SAMPLES:
        cut = quietest_cut(samples[:_LONGEST_SAMPLES], search_s=_SEARCH_S, rate_hz=RATE_HZ)
        parts.append(samples[:cut])
        samples = samples[cut:]
    return [*parts, samples]


def without_invented(text: str) -> str:
    """Return ``text``, or ``""`` if it is what the model writes when there is no speech at all."""
    letters = re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()
    return "" if letters in _INVENTED else text
