"""One call as one HTML file, to be opened without a host or sent to somebody.

The page, its scripts, the trace and the recording stand in it, and its policy lets it load nothing
and run nothing but these scripts.
"""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import orjson

from voxpy.history.record import RECORDING
from voxpy.history.search import SessionRow
from voxpy.inspector.peaks import peaks
from voxpy.pages import files

_STYLE = re.compile(r'<link rel="stylesheet" href="/assets/([a-z.-]+)">\n')
_SCRIPT = re.compile(r'<script src="/assets/([a-z.-]+)" defer></script>\n')
_HEAD = "</title>\n"
_BODY = "</main>\n"
_ICON = "/assets/icon.svg"
BLOCK_FRAMES = 8000 * 60
LOUDEST_PART = 0.5
"""Of MP3's bit rates: 24 kbit/s for the two sides of a phone call."""


def one_file(row: SessionRow) -> str:
    """Return the page. A recording that is gone is left out. Raises OSError."""
    page = files.content("call.html").decode()
    scripts = [files.content(name).decode() for name in _SCRIPT.findall(page)]
    styles = "".join(files.content(name).decode() for name in _STYLE.findall(page))
    icon = "data:image/svg+xml;base64," + _base64(files.content("icon.svg"))
    page = _SCRIPT.sub("", _STYLE.sub("", page)).replace(_ICON, icon)
    hashes = " ".join(f"'sha256-{_base64(sha256(text.encode()).digest())}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "media-src blob:; base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    head += f"<style>\n{styles}</style>\n"
    body = "".join(_parts(row)) + "".join(f"<script>{text}</script>\n" for text in scripts)
    page = page.replace(_HEAD, _HEAD + head, 1).replace(_BODY, _BODY + body, 1)
    return page.replace('class="call-page"', 'class="call-page in-file"', 1)


def _parts(row: SessionRow) -> list[str]:
    """Return what the scripts read, as elements that are neither shown nor run."""
    recording = row.folder / RECORDING
    told = {**row.to_json(), "folder": "", "files": []}
    known = {"row": told, "peaks": _base64(peaks(recording))}
    trace = row.folder / "trace.jsonl"
    lines = trace.read_bytes() if trace.exists() else b""
    parts = [
        _data("voxpy-call", orjson.dumps(known).replace(b"<", b"\\u003c").decode()),
        _data("voxpy-trace", _base64(gzip.compress(lines, mtime=0))),
    ]
    sound = _as_mp3(recording)
    if sound:
        parts.append(_data("voxpy-audio", _base64(sound), ' data-type="audio/mpeg"'))
    return parts


def _data(name: str, text: str, more: str = "") -> str:
    return f'<script type="application/octet-stream" id="{name}"{more}>{text}</script>\n'


def _as_mp3(recording: Path) -> bytes:
    import soundfile

    sound = BytesIO()
    try:
        with soundfile.SoundFile(recording) as file:
            if not file.frames:
                return b""
            with soundfile.SoundFile(
                sound,
                "w",
                file.samplerate,
                file.channels,
                format="MP3",
                bitrate_mode="CONSTANT",
                compression_level=LOUDEST_PART,
            ) as written:
                for block in file.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True):
                    written.write(block)
    except (OSError, soundfile.LibsndfileError):
        return b""
    return sound.getvalue()


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
