"""Sound files from the web: what may go wrong, what is cached, and who hears what."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.players.conftest import Site, sound_bytes
from voxpy import AppEvents
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.http import BodyPart
from voxpy.engine.loader import Program, compile_scenarios
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import ScenarioError, SoundFailed
from voxpy.host.sessions import SessionFolder
from voxpy.players.files import LIMIT_BYTES, SoundCache, download
from voxpy.players.request import read_request
from voxpy.testing import CallKit, Reply

SOUND = sound_bytes(0.5, "wav")


async def get(request: Any, cache: SoundCache | None = None) -> bytes:
    return await download(read_request(request, "test"), cache or SoundCache())


async def test_a_file_is_fetched(site: Site) -> None:
    site.put("/a.wav", SOUND)
    assert await get(f"{site.url}/a.wav") == SOUND


async def test_a_request_with_headers_and_a_body(site: Site) -> None:
    site.put("/tts", SOUND)
    for body in ({"text": "grüß"}, {"binary": base64.b64encode("grüß".encode()).decode()}, "grüß"):
        request = {
            "url": f"{site.url}/tts",
            "method": "POST",
            "headers": [{"name": "Authorization", "value": "Bearer x"}],
            "body": body,
        }
        assert await get(request) == SOUND
        asked = site.asked.pop()
        assert (asked["method"], asked["body"]) == ("POST", "grüß".encode())
        assert asked["headers"]["authorization"] == "Bearer x"
        assert asked["headers"]["user-agent"].startswith("voxpy/")


async def test_what_goes_wrong_names_the_address_without_its_secrets(site: Site) -> None:
    site.put("/big", bytes(LIMIT_BYTES + 1))
    for path, told in (
        ("/nothere.mp3?token=secret", "/nothere.mp3: the server answered 404"),
        ("/big", f"/big: too large: more than {LIMIT_BYTES} bytes"),
    ):
        with pytest.raises(SoundFailed) as caught:
            await get(site.url + path)
        assert str(caught.value) == site.url + told
    with pytest.raises(SoundFailed, match=r"http://nobody.invalid/x.mp3: "):
        await get("http://user:secret@nobody.invalid/x.mp3")
    with pytest.raises(SoundFailed, match="expected http://, https://, file: or a path"):
        await get("gopher://x/y")


async def test_a_file_that_takes_too_long(site: Site) -> None:
    site.put_slowly("/slow", b"RIFF", b"more")
    request = read_request(f"{site.url}/slow", "test")
    with pytest.raises(SoundFailed, match=r"/slow: Timeout is reached: .* within 0.05 s"):
        await download(request, SoundCache(), timeout_s=0.05)


async def test_the_server_says_how_long_a_file_is_kept(site: Site) -> None:
    cache = SoundCache()
    site.put("/fresh", SOUND, cache_control="public, max-age=60")
    site.put("/tagged", SOUND, etag='"1"')
    site.put("/asked", SOUND, etag='"1"', cache_control="no-cache, max-age=60")
    site.put("/never", SOUND, etag='"1"', cache_control="no-store")
    site.put("/plain", SOUND)
    requests = {}
    for path in ("/fresh", "/tagged", "/asked", "/never", "/plain"):
        for _ in range(2):
            assert await get(site.url + path, cache) == SOUND
        requests[path] = [a["headers"].get("if-none-match") for a in site.asked]
        site.asked.clear()
    assert requests == {
        "/fresh": [None],
        "/tagged": [None, '"1"'],
        "/asked": [None, '"1"'],
        "/never": [None, None],
        "/plain": [None, None],
    }


async def test_a_changed_file_replaces_the_old(site: Site) -> None:
    cache = SoundCache()
    site.put("/a", SOUND, etag='"1"')
    await get(f"{site.url}/a", cache)
    site.put("/a", b"new", etag='"2"')
    assert await get(f"{site.url}/a", cache) == b"new"
    assert await get(f"{site.url}/a", cache) == b"new"
    assert cache.size_bytes == 3


async def test_nobody_gets_what_was_fetched_with_another_token(site: Site) -> None:
    cache = SoundCache()
    site.put("/a", SOUND, cache_control="max-age=60")
    for token in ("mine", "yours", "mine"):
        headers = [{"name": "authorization", "value": token}]
        await get({"url": f"{site.url}/a", "headers": headers}, cache)
    assert [a["headers"]["authorization"] for a in site.asked] == ["mine", "yours"]


async def test_the_beginning_is_shown_before_the_rest_is_there(site: Site) -> None:
    data = bytes(100_000)
    site.put_slowly("/a", data[:50_000], data[50_000:])
    parts: list[BodyPart] = []

    def see(part: BodyPart) -> None:
        parts.append(part)
        site.go_on.set()

    request = read_request(f"{site.url}/a", "test")
    assert await download(request, SoundCache(), see) == data
    assert 32_768 <= len(parts[0].data) <= 50_000
    assert {part.size_bytes for part in parts} == {100_000}


async def test_a_download_can_be_cancelled(site: Site) -> None:
    site.put_slowly("/a", bytes(50_000), bytes(50_000))
    request = read_request(f"{site.url}/a", "test")
    with trio.CancelScope() as scope:
        await download(request, SoundCache(), lambda _: scope.cancel())
    assert scope.cancelled_caught


def test_a_request_is_not_guessed_at() -> None:
    with pytest.raises(ScenarioError, match="is no URL"):
        read_request("http://[::1/x", "test")


# -- in a call -------------------------------------------------------------------------------------

PLAY = """
from voxpy import *

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    player = VoxEngine.create_url_player(%r, progressive_playback=%r)
    player.send_media_to(call)
    finished = await player.wait_event(PlayerEvents.PlaybackFinished)
    Logger.write(finished.error)
    VoxEngine.terminate()
"""
LISTEN = "- wait: answered\n- wait: {for: hung_up, within_s: 20}"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "flac"])
def test_a_call_fetches_its_sound(voxpy: CallKit, kind: str, progressive: bool) -> None:
    url = f"https://sounds.test/{progressive}.{kind}"
    reply = Reply(body=sound_bytes(1.0, kind, rate_hz=16000), after_s=2.0)
    scenario = PLAY % (f"{url}?token=secret", progressive)
    call = voxpy.call(scenario, LISTEN, http={url: reply})
    assert call.log == ["null"]
    (started,) = call.find("Player.Started")
    (finished,) = call.find("Player.PlaybackFinished")
    assert started.t == pytest.approx(2.02, abs=0.041)
    assert finished.t - started.t == pytest.approx(1.02, abs=0.03)
    trace = (call.result.folder / "trace.jsonl").read_text()
    assert url in trace
    assert "secret" not in trace


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(after_s=13), "Timeout is reached: the file was not there within 12 s"),
        (Reply(status=503), "the server answered 503"),
        (Reply(fails=-3), "failed by the test"),
        (Reply(body="<html>sorry</html>"), "not mp3, ogg, flac or wav: it starts with b'<html>"),
    ],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_call_learns_why_there_is_no_sound(
    voxpy: CallKit, reply: Reply, told: str, progressive: bool
) -> None:
    url = "https://sounds.test/none.mp3"
    call = voxpy.call(PLAY % (url, progressive), LISTEN, http={url: reply})
    (line,) = call.log
    assert line.startswith(f"{url}: {told}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav", "mp3"])
async def test_progressive_playback_begins_before_the_download_is_complete(
    site: Site, tmp_path: Path, kind: str
) -> None:
    seconds = 0.7 if kind == "wav" else 12.0
    data = sound_bytes(seconds, kind, rate_hz=48000)
    first = 40_000 if kind == "wav" else len(data) * 9 // 10
    site.put_slowly(f"/a.{kind}", data[:first], data[first:])
    site.pages["/go"] = lambda _: site.go_on.set()
    path = tmp_path / "scenario.py"
    path.write_text(PROGRESSIVE % {"url": site.url, "kind": kind})
    entries: list[Entry] = []
    clock = MediaClock()
    session = real_session(
        clock, entries, SessionFolder.create(tmp_path, "s-1"), compile_scenarios([path])
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        with running(session), trio.fail_after(20):
            session.post(session.listeners, AppEvents.Started(session_id="s-1"))
            await session.run()
        nursery.cancel_scope.cancel()
    assert session.errors == []
    names = [e.name for e in entries if e.kind == "event"]
    assert names[1:4] == ["Player.Created", "Player.PlaybackReady", "Player.Started"]
    assert ("Player.PlaybackFinished" in names) == (kind == "wav")
    (started,) = [e for e in entries if e.name == "Player.Started"]
    assert "duration" not in started.data or started.data["duration"] == 0
    assert site.go_on.is_set()


PROGRESSIVE = """
from voxpy import *

@VoxEngine.on(AppEvents.Started)
async def started(event):
    url = "%(url)s"
    player = VoxEngine.create_url_player(url + "/a.%(kind)s", progressive_playback=True)
    await player.wait_event(PlayerEvents.Started)
    Net.http_request(url + "/go", lambda result: None)
    if "%(kind)s" == "wav":
        await player.wait_event(PlayerEvents.PlaybackFinished)
    VoxEngine.terminate()
"""


def real_session(
    clock: MediaClock, entries: list[Entry], files: SessionFolder, program: Program
) -> Session:
    unused: Any = None  # nothing here dials or reads secrets
    trace = Trace(now=trio.current_time, masking=Masker([]))
    trace.add_sink(entries.append)
    return Session(
        SessionContext(
            session_id="s-1",
            program=program,
            settings=Settings(),
            secrets=unused,
            trace=trace,
            media_clock=clock,
            open_stream=unused,
            realtime=RealtimeEndpoint(url="ws://localhost"),
            files=files,
        ),
    )
