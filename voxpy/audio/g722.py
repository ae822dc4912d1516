"""G.722, the wideband codec of desk phones: 16 kHz in 64 kbit/s (ITU-T G.722, mode 1).

An adaptive codec: every byte changes how the next is understood. Its bytes can therefore be
neither mixed nor cut nor padded, which is why it is no `Format` of the graph. A leg that speaks it
decodes at its edge and offers ``pcm16(16000)``. In RTP its clock counts 8,000 a second by a mistake
that RFC 3551 section 4.5.2 keeps.

The arithmetic is libg722's (public domain), an extra: ``pip install 'voxpy[wideband]'``.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from voxpy.audio.frame import Samples
from voxpy.errors import EngineMissing, install_command

RATE_HZ = 16000
FRAME_BYTES = 160
"""20 ms of payload."""
FRAME_UNITS = 160
"""20 ms of RTP timestamp."""

_BITS_PER_SECOND = 64000


def _codec() -> Any:
    try:
        library = importlib.import_module("G722")
    except ImportError as error:
        raise EngineMissing(
            f"G.722 needs the library libg722; install it: {install_command('wideband')}"
        ) from error
    return library.G722(RATE_HZ, _BITS_PER_SECOND)


class G722Encoder:
    """Encodes one stream. Raises EngineMissing if the library is absent."""

    def __init__(self) -> None:
        self._codec = _codec()

    def encode(self, samples: Samples) -> bytes:
        """Return a byte for every two samples at 16 kHz. Raises ValueError for an odd number."""
        if len(samples) % 2:
            raise ValueError(f"{len(samples)} samples: G.722 encodes them in pairs")
        return bytes(self._codec.encode(samples))


class G722Decoder:
    """Decodes one stream. Raises EngineMissing if the library is absent."""

    def __init__(self) -> None:
        self._codec = _codec()

    def decode(self, data: bytes) -> Samples:
        """Return two samples at 16 kHz for every byte, some 22 samples later than they went in."""
        return np.asarray(self._codec.decode(data), np.int16)
