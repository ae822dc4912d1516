from pathlib import Path
from typing import Any

import pytest

import voxpy
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import NotSupported, ScenarioError, UnknownName
from voxpy.modules import Modules, require

# VoxEngine's enum, written out.
MODULES = {
    "ACD": "acd",
    "AI": "ai",
    "ApplicationStorage": "applicationstorage",
    "ASR": "asr",
    "Avatar": "avatar",
    "Cartesia": "cartesia",
    "Conference": "conference",
    "Deepgram": "deepgram",
    "ElevenLabs": "elevenlabs",
    "Gemini": "gemini",
    "Google": "google",
    "Grok": "grok",
    "Inworld": "inworld",
    "IVR": "ivr",
    "MCP": "mcp",
    "OpenAI": "openai",
    "Pipecat": "pipecat",
    "PushService": "pushservice",
    "Recorder": "recorder",
    "Silero": "silero",
    "SmartQueue": "smartqueue",
    "StreamingAgent": "streamingagent",
    "Ultravox": "ultravox",
    "VoximplantAPI": "voximplantapi",
    "VoxTTS": "voxtts",
    "XAI": "xai",
    "Yandex": "yandex",
}
ALWAYS_AVAILABLE = [
    "AMD", "CallList", "Crypto", "Logger", "Net", "PhoneNumber", "Player", "WebSocket",
]  # fmt: skip


HERE = {module for name, module in MODULES.items() if name in dir(voxpy)}
"""Those of them that voxpy has."""


def make_session(entries: list[Entry]) -> Session:
    unused: Any = None  # nothing here dials, reads secrets or writes files
    trace = Trace(now=lambda: 0.0, masking=Masker())
    trace.add_sink(entries.append)
    context = SessionContext(
        session_id="s-1",
        settings=Settings(),
        secrets=unused,
        trace=trace,
        media_clock=MediaClock(),
        open_stream=unused,
        realtime=RealtimeEndpoint(url="ws://localhost"),
        files=unused,
    )
    return Session(context)


def install(folder: Path, module: str, value: str) -> None:
    """Put a distribution on disk whose entry point provides ``module``."""
    (folder / "shop.py").write_text("class Shop:\n    open = True\n")
    info = folder / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[voxpy.modules]\n{module} = {value}\n")


class TestModules:
    def test_members_are_voxengines(self) -> None:
        assert Modules.members() == MODULES

    @pytest.mark.parametrize("name", ALWAYS_AVAILABLE)
    def test_what_is_always_there_is_no_module(self, name: str) -> None:
        modules: Any = Modules
        if name in dir(voxpy):
            hint = rf"{name} is always available .* require\(\); use: from voxpy import {name}$"
        else:  # no import is named that does not exist
            hint = rf"VoxEngine has {name} without require\(\); .*docs/missing.md\)$"
        with pytest.raises(UnknownName, match=f"^Modules has no '{name}': {hint}"):
            getattr(modules, name)
        with pytest.raises(UnknownName, match=f"^there is no module '{name}': {hint}"):
            require(name)
        with pytest.raises(UnknownName, match=hint):
            require(name.lower())

    def test_a_misspelt_member_names_the_nearest(self) -> None:
        modules: Any = Modules
        with pytest.raises(
            UnknownName, match=r"^Modules has no 'InWorld'; did you mean 'Inworld'\?$"
        ):
            _ = modules.InWorld

    def test_a_member_like_nothing_gets_no_hint(self) -> None:
        modules: Any = Modules
        with pytest.raises(UnknownName, match=r"^Modules has no 'Quux'$"):
            _ = modules.Quux


class TestRequire:
    def test_inworld_is_the_namespace(self) -> None:
        from voxpy.inworld import Inworld

        assert require(Modules.Inworld) is Inworld
        assert require("inworld") is Inworld

    @pytest.mark.parametrize("module", sorted(set(MODULES.values()) - HERE))
    def test_what_voxpy_does_not_have_says_what_it_has(self, module: str) -> None:
        with pytest.raises(
            NotSupported, match=f"^voxpy has no module '{module}'.*; it has .*inworld"
        ):
            require(module)

    def test_the_listening_modules(self) -> None:
        from voxpy.asr import ASREvents
        from voxpy.silero import Silero

        assert require(Modules.ASR).ASREvents is ASREvents
        assert require(Modules.Silero) is Silero

    def test_an_unknown_string_names_the_nearest(self) -> None:
        with pytest.raises(UnknownName, match=r"no module 'inwrld'; did you mean 'inworld'\?$"):
            require("inwrld")

    @pytest.mark.parametrize("module", [None, "", 5, Modules])
    def test_what_is_no_string_is_refused(self, module: Any) -> None:
        with pytest.raises(ScenarioError, match=r"^require takes a member of Modules, not"):
            require(module)

    async def test_inside_a_session_it_is_traced(self) -> None:
        entries: list[Entry] = []
        with running(make_session(entries)):
            require(Modules.Inworld)
        assert [(entry.name, entry.data) for entry in entries] == [
            ("module loaded", {"module": "inworld"})
        ]

    async def test_a_module_that_is_not_there_is_not_traced(self) -> None:
        entries: list[Entry] = []
        with running(make_session(entries)), pytest.raises(NotSupported):
            require(Modules.Avatar)
        assert entries == []


class TestAddedModules:
    def test_a_package_adds_a_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        install(tmp_path, "shop", "shop:Shop")
        monkeypatch.syspath_prepend(tmp_path)
        assert require("shop").open is True
        with pytest.raises(NotSupported, match=f"it has {', '.join(sorted({*HERE, 'shop'}))}, and"):
            require("avatar")
        with pytest.raises(UnknownName, match=r"'shopp'; did you mean 'shop'\?"):
            require("shopp")

    def test_a_package_adds_what_voxengine_has_and_voxpy_lacks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(tmp_path, "avatar", "shop:Shop")
        monkeypatch.syspath_prepend(tmp_path)
        assert require(Modules.Avatar).open is True

    def test_our_own_modules_cannot_be_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from voxpy.inworld import Inworld

        install(tmp_path, "inworld", "shop:Shop")
        monkeypatch.syspath_prepend(tmp_path)
        assert require(Modules.Inworld) is Inworld
