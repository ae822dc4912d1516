"""What one user agent does with what nobody nice would send: forks, credentials, strangers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.sip.network import OTHER_SDP, SDP, End, Network
from voxpy.wire.sip.agent import Account, Asked, Event, Flow, Transmit
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.digest import Verifier, parse_credentials
from voxpy.wire.sip.events import Connected, Failed, Invited
from voxpy.wire.sip.message import Request, Response, parse_message
from voxpy.wire.sip.transactions import RequestServer
from voxpy.wire.sip.values import parse_uri

PHONE = Flow("UDP", "10.0.0.9", 5062)


class Hand:
    """An end whose other side is played by hand, message by message."""

    def __init__(self) -> None:
        self.network = Network()
        self.end: End = self.network.end("alice", "10.0.0.1")

    def dial(self, **options: object) -> SipCall:
        return SipCall.dial(
            self.end.agent,
            parse_uri("sip:bob@10.0.0.9"),
            from_=self.end.address,
            sdp=SDP,
            now=0.0,
            **options,  # type: ignore[arg-type]
        )

    def sent(self) -> list[Request | Response]:
        found = []
        for out in self.end.agent.take():
            if isinstance(out, Transmit):
                found.append(parse_message(out.message.to_bytes()))
            else:
                self.end.events.append(out)
        return found

    def says(self, message: Request | Response, now: float = 1.0) -> list[Request | Response]:
        self.end.agent.receive(parse_message(message.to_bytes()), PHONE, now)
        return self.sent()

    def request(self, method: str, *, to: str = "<sip:alice@10.0.0.1>", **headers: str) -> Request:
        lines = {
            "Via": "SIP/2.0/UDP 192.168.0.9:5060;rport;branch=z9hG4bKx" + method,
            "From": "<sip:bob@10.0.0.9>;tag=b",
            "To": to,
            "Call-ID": "c1",
            "CSeq": f"1 {method}",
            "Contact": "<sip:bob@192.168.0.9>",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        request = Request(method=method, uri=parse_uri("sip:alice@10.0.0.1"))
        request.headers.extend(lines)
        return request


def ok(invite: Request, tag: str) -> Response:
    response = invite.response(200, to_tag=tag)
    response.headers.extend({"Contact": f"<sip:{tag}@10.0.0.9>", "Content-Type": "application/sdp"})
    response.body = OTHER_SDP
    return response


def named(messages: list[Request | Response]) -> list[str]:
    return [m.method if isinstance(m, Request) else str(m.status) for m in messages]


def test_the_second_answer_of_a_fork_is_hung_up() -> None:
    hand = Hand()
    hand.dial()
    (invite,) = hand.sent()
    assert isinstance(invite, Request)
    assert named(hand.says(ok(invite, "one"))) == ["ACK"]
    second = hand.says(ok(invite, "two"))
    assert named(second) == ["ACK", "BYE"]
    assert {m.to.tag for m in second} == {"two"}
    assert named(hand.says(ok(invite, "one"), 2.0)) == ["ACK"], "the ACK was lost"
    assert hand.end.names() == ["Connected"]


def test_early_dialogs_of_a_fork_are_told_apart() -> None:
    hand = Hand()
    hand.dial()
    (invite,) = hand.sent()
    assert isinstance(invite, Request)
    for tag in ("one", "two"):
        ringing = invite.response(180, to_tag=tag)
        ringing.headers.add("Contact", f"<sip:{tag}@10.0.0.9>")
        assert hand.says(ringing) == []
    hand.says(ok(invite, "two"))
    (connected,) = hand.end.told(Connected)
    assert connected.call.dialog.remote.tag == "two"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [401, 407])
def test_credentials_are_given_once_asked_for(status: int) -> None:
    hand = Hand()
    verifier = Verifier("voxpy", lambda: b"key")
    hand.dial(account=Account("alice", "secret"))
    (invite,) = hand.sent()
    assert isinstance(invite, Request)
    asked = invite.response(status, to_tag="t")
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    for challenge in verifier.challenges(0.0):
        asked.headers.add(name, str(challenge))
    ack, again = hand.says(asked)
    assert (ack.method, ack.cseq.number, again.cseq.number) == ("ACK", 1, 2)  # type: ignore[union-attr]
    assert isinstance(again, Request)
    assert again.via.branch != invite.via.branch
    assert again.body == SDP
    proof = "Authorization" if status == 401 else "Proxy-Authorization"
    credentials = parse_credentials(again.headers.get(proof) or "")
    verdict = verifier.check(credentials, method="INVITE", passwords={"alice": "secret"}, now_s=1.0)
    assert verdict.good
    (acknowledged,) = hand.says(ok(again, "one"))
    assert acknowledged.headers.get(proof) == again.headers.get(proof)


def test_wrong_credentials_do_not_go_round_for_ever() -> None:
    hand = Hand()
    verifier = Verifier("voxpy", lambda: b"key")
    hand.dial(account=Account("alice", "wrong"))
    (invite,) = hand.sent()
    for _ in range(10):
        if not isinstance(invite, Request) or hand.end.told(Failed):
            break
        asked = invite.response(401, to_tag="t")
        asked.headers.add("WWW-Authenticate", str(verifier.challenges(0.0)[0]))
        invite = hand.says(asked)[-1]
    assert hand.end.told(Failed)[0].status == 401  # type: ignore[attr-defined]


def test_a_timer_that_is_too_short_is_made_longer() -> None:
    hand = Hand()
    hand.dial(expires_s=90)
    (invite,) = hand.sent()
    assert isinstance(invite, Request)
    short = invite.response(422, to_tag="t")
    short.headers.add("Min-SE", "600")
    _, again = hand.says(short)
    assert again.headers.get("Session-Expires") == "600"


def test_answers_go_where_the_request_came_from() -> None:
    hand = Hand()
    answers = hand.says(hand.request("INVITE", Content_Type="application/sdp"))
    assert answers == []
    (invited,) = hand.end.told(Invited)
    invited.call.provisional(180, 1.0)  # type: ignore[attr-defined]
    out = hand.end.agent.take()
    (ringing,) = [o for o in out if isinstance(o, Transmit)]
    assert ringing.to == PHONE
    assert ringing.message.via.params["received"] == "10.0.0.9"
    assert ringing.message.via.params["rport"] == "5062"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("BYE", {"to": "<sip:alice@10.0.0.1>;tag=gone"}, "481"),
        ("BYE", {}, "481"),
        ("NOTIFY", {}, "481"),
        ("JUMP", {}, "501"),
        ("CANCEL", {}, "481"),
        ("INVITE", {"Require": "telepathy, timer"}, "420"),
        ("INVITE", {"Session_Expires": "10", "Supported": "timer"}, "422"),
    ],
)
def test_what_is_refused_without_asking(method: str, headers: dict[str, str], status: str) -> None:
    hand = Hand()
    (answer,) = hand.says(hand.request(method, **headers))
    assert named([answer]) == [status]
    assert hand.end.events == []
    assert hand.end.agent.calls == 0
    if status == "420":
        assert answer.headers.get("Unsupported") == "telepathy"


def test_an_invite_without_a_contact_can_never_be_a_call() -> None:
    hand = Hand()
    request = hand.request("INVITE")
    request.headers.remove("Contact")
    assert named(hand.says(request)) == ["400"]


def test_the_same_request_by_two_ways_is_one_call() -> None:
    hand = Hand()
    hand.says(hand.request("INVITE"))
    other = hand.request("INVITE", Via="SIP/2.0/UDP 192.168.0.9;branch=z9hG4bKother")
    assert named(hand.says(other)) == ["482"]
    assert len(hand.end.told(Invited)) == 1


def test_lone_requests_are_asked_and_answered() -> None:
    hand = Hand()
    assert hand.says(hand.request("REGISTER")) == []
    (asked,) = hand.end.told(Asked)
    asked.respond(asked.request.response(403, to_tag="t"), 1.0)  # type: ignore[attr-defined]
    assert named(hand.sent()) == ["403"]
    assert named(hand.says(hand.request("REGISTER"), 1.1)) == ["403"], "repeated, answered again"
    assert len(hand.end.told(Asked)) == 1


def test_damaged_messages_are_answered_or_dropped_and_counted() -> None:
    hand = Hand()
    bad = hand.request("OPTIONS").to_bytes().replace(b"Content-Length: 0", b"Content-Length: 9")
    try:
        parse_message(bad)
    except Exception as error:
        hand.end.agent.receive(error, PHONE, 1.0)  # type: ignore[arg-type]
    assert named(hand.sent()) == ["400"]
    stray = hand.request("OPTIONS").response(200, to_tag="t")
    assert hand.says(stray) == []
    assert hand.end.agent.dropped == 2


def test_a_refresh_goes_by_reinvite_where_update_is_not_spoken() -> None:
    hand = Hand()
    hand.dial(expires_s=100)
    (invite,) = hand.sent()
    assert isinstance(invite, Request)
    answer = ok(invite, "one")
    answer.headers.extend(
        {"Session-Expires": "100;refresher=uac", "Require": "timer", "Allow": "INVITE, ACK, BYE"}
    )
    hand.says(answer, 1.0)
    hand.end.agent.tick(60.0)
    (refresh,) = [m for m in hand.sent() if isinstance(m, Request)]
    assert (refresh.method, refresh.body) == ("INVITE", SDP)
    assert refresh.headers.get("Session-Expires") == "100;refresher=uac"


def test_a_request_out_of_order_is_refused() -> None:
    network = Network()
    alice, bob = network.end("alice", "10.0.0.1"), network.end("bob", "10.0.0.2")

    def react(event: Event) -> None:
        if isinstance(event, Invited):
            event.call.answer(OTHER_SDP, network.now)

    bob.react = react
    call = SipCall.dial(alice.agent, bob.uri, from_=alice.address, sdp=SDP, now=network.now)
    network.run(1)
    assert call.dialog is not None
    old = call.dialog.request("INFO", via=alice.agent.us.via("UDP"), sequence=1)
    got: list[Response | None] = []
    alice.agent.send(old, bob.uri, lambda response, now: got.append(response), network.now)
    network.run(1)
    assert [r.status for r in got if r is not None] == [500]


def test_thousands_of_requests_cost_no_more_than_one() -> None:
    """Each had a look at all that linger; and what lingers ends."""
    hand = Hand()
    transactions = hand.end.agent.transactions
    looks = 0

    class Looked(RequestServer):
        @property
        def deadline(self) -> float:
            nonlocal looks
            looks += 1
            return super().deadline

    def ask(n: int) -> None:
        nonlocal looks
        looks = 0
        request = hand.request("BYE", Via=f"SIP/2.0/UDP 192.168.0.9;branch=z9hG4bK{n}", Call_ID="c")
        hand.says(request, now=n / 1000)
        assert hand.end.agent.deadline > 0
        hand.end.agent.tick(n / 1000)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("voxpy.wire.sip.transactions.RequestServer", Looked)
        patched.setattr("voxpy.wire.sip.transactions.MOST_LINGERING", 300)
        for n in range(400):
            ask(n)
            assert looks < 20
    assert len(transactions) == 300
    hand.end.agent.tick(1000.0)
    assert len(transactions) == 0
    assert hand.end.agent.deadline == math.inf


@given(st.lists(st.tuples(st.sampled_from(["OPTIONS", "INVITE", "BYE"]), st.floats(0, 5))))
def test_the_deadline_is_that_of_the_first(steps: list[tuple[str, float]]) -> None:
    hand, now = Hand(), 0.0
    agent = hand.end.agent
    for n, (method, later) in enumerate(steps):
        now += later
        via = f"SIP/2.0/UDP 192.168.0.9;branch=z9hG4bK{n % 4}"
        hand.says(hand.request(method, Via=via, Call_ID=f"c{n % 3}", CSeq=f"{n} {method}"), now)
        agent.tick(now)
        found = agent.transactions
        assert found.deadline == min((each.deadline for each in found), default=math.inf)
