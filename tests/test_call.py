import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from voxpy import call as call_module
from voxpy.call import Call, DTMFType
from voxpy.calls.arguments import MESSAGE_BYTES, check_headers
from voxpy.engine.clock import MediaClock
from voxpy.engine.masking import Masker
from voxpy.engine.ports import Leg, LegEvent, LegTransfers, RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Limits, Settings
from voxpy.engine.trace import Trace
from voxpy.errors import LimitExceeded, NotSupported, ScenarioError, UnknownName
from voxpy.media.unit import MediaPort

# VoxEngine's name, ours, and how ours is called. Independent of the code on purpose.
VIDEO = (
    "disable_ext_video_offset=False, disable_ext_video_orientation=False, "
    "disable_ext_playout_delay=False, disable_ext_video_timing=False"
)
METHODS = {
    "id": ("id", "()"),
    "state": ("state", "()"),
    "toString": ("to_string", "()"),
    "incoming": ("incoming", "()"),
    "callerid": ("callerid", "()"),
    "displayName": ("display_name", "()"),
    "number": ("number", "()"),
    "clientType": ("client_type", "()"),
    "customData": ("custom_data", "(value=None)"),
    "vad": ("vad", "()"),
    "addEventListener": ("add_event_listener", "(kind, handler)"),
    "removeEventListener": ("remove_event_listener", "(kind, handler=None)"),
    "answer": (
        "answer",
        "(extra_headers=None, *, display_name=None, scheme=None, max_video_bitrate=None, "
        f"conference_call=False, disable_dtx_for_audio=False, {VIDEO})",
    ),
    "answerDirect": (
        "answer_direct",
        "(peer_call, extra_headers=None, *, display_name=None, scheme=None)",
    ),
    "reject": ("reject", "(code, extra_headers=None)"),
    "decline": ("decline", "(code, extra_headers=None)"),
    "hangup": ("hangup", "(extra_headers=None)"),
    "ring": ("ring", "(extra_headers=None)"),
    "startEarlyMedia": (
        "start_early_media",
        "(extra_headers=None, scheme=None, *, max_video_bitrate=None, audio_level_extension=False, "
        "conference_call=False, disable_dtx_for_audio=False)",
    ),
    "playProgressTone": ("play_progress_tone", "(country)"),
    "startPlayback": ("start_playback", "(url, loop=False, *, progressive_playback=False)"),
    "stopPlayback": ("stop_playback", "()"),
    "say": (
        "say",
        "(text, voice=None, *, language=None, progressive_playback=False, tts_options=None, "
        "request=None)",
    ),
    "record": (
        "record",
        "(*, stereo=False, hd_audio=False, transcribe=False, lossless=False, secure=False, "
        "language=None, expire='', video=False, video_parameters=None, record_name_prefix='', "
        "dict=(), labels=(), provider=None, format=None)",
    ),
    "sendMediaTo": (
        "send_media_to",
        "(unit, *, encoding=None, tag=None, custom_parameters=None)",
    ),
    "stopMediaTo": ("stop_media_to", "(unit, *, tag=None)"),
    "handleTones": ("handle_tones", "(enable, dtmf_type='ALL')"),
    "sendDigits": ("send_digits", "(digits)"),
    "sendMessage": ("send_message", "(text)"),
    "sendInfo": ("send_info", "(mime_type, body, headers=None)"),
    "handleMicStatus": ("handle_mic_status", "(enable)"),
    "handleBlindTransfer": ("handle_blind_transfer", "(enable)"),
    "notifyBlindTransferSuccess": ("notify_blind_transfer_success", "()"),
    "notifyBlindTransferFailed": ("notify_blind_transfer_failed", "(code, reason)"),
    "transferTo": ("transfer_to", "(to, *, call=None, headers=None)"),
    "enableBeepDetection": ("enable_beep_detection", "(*, frequencies=None, timeout=None)"),
    "disableBeepDetection": ("disable_beep_detection", "()"),
    "monitorMediaStatistics": ("monitor_media_statistics", "(*, monitor, interval)"),
}
# Ours alone: awaiting an event and silence, the media side, the table behind the listeners.
OURS_ALONE = {"wait_event", "wait_silence", "media", "listeners"}


@attrs.frozen
class DeskTransfers:
    asked: list[tuple[Any, ...]]

    def handle(self, enabled: bool) -> None:
        self.asked.append(("handle_transfers", enabled))

    def answer(self, code: int, reason: str) -> None:
        self.asked.append(("answer_transfer", code, reason))

    def ask(self, to: str, target: Leg | None, headers: Mapping[str, str]) -> None:
        self.asked.append(("transfer", to, target, headers))


@attrs.define(eq=False)
class Desk:
    """A leg that writes down what it is asked, and can report that it was answered."""

    leg_id: str = "call-1"
    channel: str = "desk"
    client_type: str = "pstn"
    incoming: bool = True
    callerid: str = "15550100"
    destination: str = "15550199"
    display_name: str = "Ada"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    media: MediaPort = attrs.field(factory=lambda: MediaPort(name="call-1"))
    asked: list[tuple[Any, ...]] = attrs.field(factory=list)
    transfers: LegTransfers = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.transfers = DeskTransfers(self.asked)

    def bind(self, report: Callable[[LegEvent], None]) -> None: ...

    def answer(self, headers: Mapping[str, str]) -> None:
        self.asked.append(("answer", headers))

    def reject(self, code: int, headers: Mapping[str, str]) -> None:
        self.asked.append(("reject", code, headers))

    def hangup(self, headers: Mapping[str, str]) -> None:
        self.asked.append(("hangup", headers))

    def ring(self, headers: Mapping[str, str]) -> None:
        self.asked.append(("ring", headers))

    def start_early_media(self, headers: Mapping[str, str]) -> None:
        self.asked.append(("start_early_media", headers))

    def handle_tones(self, enabled: bool) -> None:
        self.asked.append(("handle_tones", enabled))

    def send_digits(self, digits: str) -> None:
        self.asked.append(("send_digits", digits))

    def send_message(self, text: str) -> None:
        self.asked.append(("send_message", text))

    def send_info(self, mime_type: str, body: str, headers: Mapping[str, str]) -> None:
        self.asked.append(("send_info", mime_type, body, headers))

    async def aclose(self) -> None: ...


@functools.cache
def make_session(limits: Limits = Limits()) -> Session:  # noqa: B008  frozen, and a cache key
    unused: Any = None  # nothing here dials, reads secrets or writes files

    async def inside_a_loop() -> Session:
        context = SessionContext(
            session_id="s-1",
            settings=Settings(limits=limits),
            secrets=unused,
            trace=Trace(now=lambda: 0.0, masking=Masker()),
            media_clock=MediaClock(),
            open_stream=unused,
            realtime=RealtimeEndpoint(url="ws://localhost"),
            files=unused,
        )
        return Session(context)

    return trio.run(inside_a_loop)


def make_call(
    desk: Desk | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008
    state: str = "",
) -> Call:
    call = Call(make_session(limits), desk or Desk())
    call._state.state = state or call._state.state
    return call


def bare_signature(function: Callable[..., Any]) -> str:
    """The signature without annotations and without self."""
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=inspect.Parameter.empty)
        for name, p in signature.parameters.items()
        if name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


class TestVocabulary:
    def test_there_are_38_methods_and_nothing_invented(self) -> None:
        assert len(METHODS) == 38
        public = {name for name in dir(make_call()) if not name.startswith("_")}
        assert public == {ours for ours, _ in METHODS.values()} | OURS_ALONE

    @pytest.mark.parametrize(("name", "signature"), METHODS.values(), ids=METHODS)
    def test_signature(self, name: str, signature: str) -> None:
        assert bare_signature(getattr(Call, name)) == signature

    @pytest.mark.parametrize("name", [ours for ours, _ in METHODS.values()])
    def test_every_argument_is_typed_and_every_method_explained(self, name: str) -> None:
        method = getattr(Call, name)
        signature = inspect.signature(method)
        untyped = [
            p.name
            for p in list(signature.parameters.values())[1:]
            if p.annotation is inspect.Parameter.empty
        ]
        assert untyped == []
        assert signature.return_annotation is not inspect.Signature.empty
        assert method.__doc__

    @pytest.mark.parametrize(
        "javascript",
        [js for js in METHODS if js not in ("addEventListener", "removeEventListener")],
    )
    def test_docstrings_name_voxengines_page(self, javascript: str) -> None:
        name, _ = METHODS[javascript]
        assert f"Call.{javascript}" in getattr(Call, name).__doc__

    def test_all_is_complete(self) -> None:
        public = {
            name
            for name, value in vars(call_module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == call_module.__name__
        }
        assert public <= set(call_module.__all__)

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [
            ("callId", "id"),
            ("sendMediaTo", "send_media_to"),
            ("callerId", "callerid"),
            ("caller_id", "callerid"),
            ("hangUp", "hangup"),
            ("startEarlyMedia", "start_early_media"),
            ("addEventListener", "add_event_listener"),
            ("anwser", "answer"),
        ],
    )
    def test_a_misspelt_member_names_the_real_one(self, wrong: str, right: str) -> None:
        call = make_call()
        with pytest.raises(UnknownName) as caught:
            getattr(call, wrong)
        assert str(caught.value) == f"Call has no {wrong!r}; did you mean {right!r}?"

    def test_a_name_like_nothing_gets_no_hint(self) -> None:
        call: Any = make_call()
        with pytest.raises(UnknownName, match=r"^Call has no 'quux'$"):
            _ = call.quux

    def test_a_misspelt_member_is_an_absent_attribute_for_python(self) -> None:
        assert not hasattr(make_call(), "sendMediaTo")
        with pytest.raises(AttributeError) as caught:
            _ = cast("Any", make_call()).__nope__
        assert not isinstance(caught.value, UnknownName)

    def test_what_is_no_event_is_refused_naming_the_catalog(self) -> None:
        call: Any = make_call()
        with pytest.raises(ScenarioError, match=r"pass a member of CallEvents"):
            call.add_event_listener("Call.Conected", print)


class TestReading:
    def test_getters(self) -> None:
        call = make_call(Desk(incoming=False), state="CONNECTED")
        assert call.id() == "call-1"
        assert call.state() == "CONNECTED"
        assert call.incoming() is False
        assert call.callerid() == "15550100"
        assert call.display_name() == "Ada"
        assert call.number() == "15550199"
        assert call.client_type() == "pstn"
        assert call.vad() is False
        assert call.media.name == "call-1"

    def test_one_line_about_the_call(self) -> None:
        call = make_call()
        line = "Call call-1 (incoming pstn, ALERTING): 15550100 -> 15550199"
        assert call.to_string() == line
        assert str(call) == line

    def test_custom_data_is_set_and_returned(self) -> None:
        call = make_call()
        assert call.custom_data() == ""
        assert call.custom_data("vip") == "vip"
        assert call.custom_data() == "vip"
        assert call.custom_data("") == ""

    def test_custom_data_is_bounded_in_bytes_not_characters(self) -> None:
        call = make_call()
        fits = "é" * 1000
        assert call.custom_data(fits) == fits
        with pytest.raises(
            LimitExceeded, match=r"custom_data 'é+\.\.\.' is 2001 bytes; at most 2000"
        ):
            call.custom_data(fits + "x")
        assert call.custom_data() == fits

    def test_the_bound_of_custom_data_is_a_setting(self) -> None:
        call = make_call(limits=Limits(custom_data_bytes=3))
        assert call.custom_data("abc") == "abc"
        with pytest.raises(LimitExceeded, match="'abcd' is 4 bytes; at most 3"):
            call.custom_data("abcd")

    def test_custom_data_is_a_string(self) -> None:
        call: Any = make_call()
        with pytest.raises(ScenarioError, match="custom_data must be a string, not dict"):
            call.custom_data({"vip": True})


class TestCommands:
    def test_answer(self) -> None:
        desk = Desk()
        call = make_call(desk)
        call.answer({"X-Note": "hello"}, display_name="Desk", conference_call=True)
        call.answer()  # is ignored, as is what comes after it
        call.reject(486)
        assert desk.asked == [("answer", {"X-Note": "hello"})]

    def test_commands_reach_the_leg_in_the_states_that_allow_them(self) -> None:
        desk = Desk()
        call = make_call(desk)
        call.ring()
        call.reject(486)
        call.decline(603, {"X-Why": "busy"})
        call.send_digits("1")  # not before the answer
        call.hangup({"X-Why": "done"})
        assert desk.asked == [
            ("ring", {}),
            ("reject", 486, {}),
            ("reject", 603, {"X-Why": "busy"}),
            ("hangup", {"X-Why": "done"}),
        ]
        desk = Desk()
        call = make_call(desk, state="CONNECTED")
        call.ring()
        call.handle_tones(True)
        call.handle_tones(True, DTMFType.IN_BAND)  # nothing beside the audio is wanted
        call.handle_tones(False, DTMFType.SIP_INFO)
        call.send_digits("12#p*0")
        call.send_message("hi")
        call.send_info("text/plain", "body", headers={"x-a": "b"})
        assert desk.asked == [
            ("handle_tones", True),
            ("handle_tones", False),
            ("handle_tones", False),
            ("send_digits", "12#p*0"),
            ("send_message", "hi"),
            ("send_info", "text/plain", "body", {"x-a": "b"}),
        ]

    def test_nothing_is_done_after_the_end(self) -> None:
        desk = Desk()
        call = make_call(desk, state="TERMINATED")
        call.answer()
        call.hangup()
        call.ring()
        call.record()
        call.handle_tones(True)
        call.start_playback("https://example.org/a.mp3")
        call.say("hello")
        call.handle_mic_status(True)
        call.enable_beep_detection()
        assert desk.asked == []
        assert call.vad() is False

    def test_transfers_are_the_legs(self) -> None:
        desk, other = Desk(), Desk(leg_id="call-2")
        call = make_call(desk, state="CONNECTED")
        call.handle_blind_transfer(True)
        call.notify_blind_transfer_success()
        call.notify_blind_transfer_failed(486, "Busy")
        call.transfer_to(" 1002 ", headers={"X-a": "b"})
        call.transfer_to("", call=make_call(other, state="CONNECTED"))
        assert desk.asked == [
            ("handle_transfers", True),
            ("answer_transfer", 200, "OK"),
            ("answer_transfer", 486, "Busy"),
            ("transfer", "1002", None, {"X-a": "b"}),
            ("transfer", "", other, {}),
        ]
        for _ in range(8):
            call.transfer_to("1002")
        with pytest.raises(LimitExceeded, match="at most 10 transfers"):
            call.transfer_to("1002")
        call = make_call(Desk(), state="PROGRESSING")
        call.transfer_to("1002")  # not before the answer

    @pytest.mark.parametrize(
        ("transfer", "words"),
        [
            (lambda call: call.transfer_to(""), "a number, a user or a SIP URI, not ''"),
            (lambda call: call.transfer_to("1\r\nX: y"), "a number, a user or a SIP URI"),
            (lambda call: call.transfer_to("1", call=call), "call is another call"),
            (lambda call: call.notify_blind_transfer_failed(200, "OK"), "from 300 to 699, not 200"),
            (lambda call: call.notify_blind_transfer_failed(486, "a\nb"), "one line of text"),
        ],
    )
    def test_transfers_that_cannot_be_meant(
        self, transfer: Callable[[Call], None], words: str
    ) -> None:
        with pytest.raises(ScenarioError, match=words):
            transfer(make_call(state="CONNECTED"))

    def test_direct_media_is_refused_by_name(self) -> None:
        with pytest.raises(NotSupported, match=r"^call\.answer_direct\(\) is not supported on the"):
            make_call().answer_direct(make_call())

    def test_media_statistics_are_refused_by_name(self) -> None:
        with pytest.raises(NotSupported, match="is not supported on the desk"):
            make_call().monitor_media_statistics(monitor=True, interval=5)


class TestArguments:
    @given(st.integers(min_value=-100, max_value=1100))
    def test_reject_takes_sip_codes_from_300_to_699(self, code: int) -> None:
        desk = Desk()
        if 300 <= code <= 699:
            make_call(desk).reject(code)
            assert desk.asked == [("reject", code, {})]
        else:
            with pytest.raises(ScenarioError, match=f"from 300 to 699, not {code}$"):
                make_call(desk).reject(code)
            assert desk.asked == []

    @pytest.mark.parametrize("code", ["486", True, None, 486.0])
    def test_a_code_is_a_whole_number(self, code: Any) -> None:
        with pytest.raises(ScenarioError, match="reject needs a SIP status"):
            make_call().reject(code)

    @given(st.text(alphabet="0123456789*#p", min_size=1))
    def test_digits_that_exist_are_sent(self, digits: str) -> None:
        desk = Desk()
        make_call(desk, state="CONNECTED").send_digits(digits)
        assert desk.asked == [("send_digits", digits)]

    @pytest.mark.parametrize("digits", ["", "12a", "1 2", "P", "١", "A", 12, None, "1\n"])
    def test_other_digits_are_refused(self, digits: Any) -> None:
        with pytest.raises(ScenarioError, match=r"takes 0-9, \*, # and p \(a pause\), not "):
            make_call().send_digits(digits)

    def test_messages_and_infos_are_bounded_in_bytes(self) -> None:
        desk = Desk()
        call = make_call(desk, state="CONNECTED")
        call.send_message("x" * MESSAGE_BYTES)
        call.send_info("text/plain", "é" * (MESSAGE_BYTES // 2))
        assert len(desk.asked) == 2
        with pytest.raises(LimitExceeded, match=r"text 'x+\.\.\.' is 8193 bytes; at most 8192 fit"):
            call.send_message("x" * (MESSAGE_BYTES + 1))
        with pytest.raises(LimitExceeded, match=r"body 'é+\.\.\.' is 8194 bytes"):
            call.send_info("text/plain", "é" * (MESSAGE_BYTES // 2 + 1))
        assert len(desk.asked) == 2

    def test_a_message_is_a_string(self) -> None:
        call: Any = make_call()
        with pytest.raises(ScenarioError, match="text must be a string, not bytes"):
            call.send_message(b"hi")

    def test_half_a_character_pair_is_counted_not_a_crash(self) -> None:
        desk = Desk()
        make_call(desk, state="CONNECTED").send_message("\ud800")
        assert desk.asked == [("send_message", "\ud800")]

    def test_dtmf_types_are_voxengines(self) -> None:
        assert DTMFType.members() == {
            name: name for name in ("ALL", "IN_BAND", "SIP_INFO", "TELEPHONE_EVENT")
        }
        with pytest.raises(ScenarioError, match=r"'inband' is not a DTMFType .* 'IN_BAND'"):
            make_call().handle_tones(True, "inband")


class TestHeaders:
    def test_none_is_no_headers(self) -> None:
        assert check_headers(None) == {}

    def test_what_is_given_is_copied(self) -> None:
        given_headers = {"X-A": "1", "x-b": "two words, é", "VI-CallTimeout": "30"}
        checked = check_headers(given_headers)
        assert checked == given_headers
        assert checked is not given_headers

    @pytest.mark.parametrize(
        "name", ["From", "VI-Client-IP", "X", "", "Y-X-A", "X-A B", "X-A:", "X-A\r\nVia", "X-é"]
    )
    def test_other_names_cannot_be_set(self, name: str) -> None:
        desk = Desk()
        with pytest.raises(ScenarioError, match="custom headers start with 'X-'"):
            make_call(desk).answer({name: "v"})
        assert desk.asked == []

    @pytest.mark.parametrize("value", ["a\r\nVia: b", "a\nb", "\0", "a\rb"])
    def test_a_value_cannot_smuggle_a_header_in(self, value: str) -> None:
        with pytest.raises(ScenarioError, match="line break or control character"):
            check_headers({"X-A": value})

    @pytest.mark.parametrize("headers", [{"X-A": []}, {"X-A": None}, {5: "a"}])
    def test_names_and_values_are_strings(self, headers: Any) -> None:
        with pytest.raises(ScenarioError, match="names and values must be strings"):
            check_headers(headers)

    @pytest.mark.parametrize(
        "ask",
        [
            lambda call, headers: call.answer(headers),
            lambda call, headers: call.reject(486, headers),
            lambda call, headers: call.decline(486, headers),
            lambda call, headers: call.hangup(headers),
            lambda call, headers: call.ring(headers),
            lambda call, headers: call.start_early_media(headers),
            lambda call, headers: call.send_info("text/plain", "", headers=headers),
        ],
    )
    def test_every_method_with_headers_checks_them(
        self, ask: Callable[[Call, dict[str, str]], None]
    ) -> None:
        desk = Desk()
        with pytest.raises(ScenarioError, match="'Via' cannot be set"):
            ask(make_call(desk), {"Via": "x"})
        assert desk.asked == []
