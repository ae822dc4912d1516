"""Speech recognition, and the words that go with it (VoxEngine: ASR module)."""

from __future__ import annotations

from voxpy.asr.asr import ASR, create_asr
from voxpy.asr.events import ASREvents
from voxpy.asr.profiles import ASRModelList, ASRProfileList

__all__ = ["ASR", "ASREvents", "ASRModelList", "ASRProfileList", "create_asr"]
