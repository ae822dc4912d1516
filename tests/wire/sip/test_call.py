"""Calls between two user agents: what each end is told, and what went over the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.wire.sip.network import OTHER_SDP, SDP, End, Network
from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Event, Flow
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.dialog import Dialog
from voxpy.wire.sip.events import (
    Cancelled,
    Connected,
    Done,
    Ended,
    Failed,
    InfoReceived,
    Invited,
    MessageReceived,
    Offer,
    OfferAnswered,
    OfferRefused,
    Progress,
    Referral,
    ReferralProgress,
)
from voxpy.wire.sip.message import BadMessage, Message, Request
from voxpy.wire.sip.values import Uri, parse_uri


def pair(network: Network) -> tuple[End, End]:
    return network.end("alice", "10.0.0.1"), network.end("bob", "10.0.0.2")


def dial(network: Network, alice: End, to: Uri, **options: object) -> SipCall:
    return SipCall.dial(
        alice.agent,
        to,
        from_=alice.address,
        sdp=SDP,
        now=network.now,
        **options,  # type: ignore[arg-type]
    )


def answering(network: Network, bob: End, *, rings: bool = True) -> list[SipCall]:
    """Let bob answer what comes; the list gets his calls."""
    calls: list[SipCall] = []

    def react(event: Event) -> None:
        if isinstance(event, Invited):
            calls.append(event.call)
            if rings:
                event.call.provisional(180, network.now)
            event.call.answer(OTHER_SDP, network.now)

    bob.react = react
    return calls


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_call_and_its_bye(transport: str, who: str) -> None:
    network = Network(transport=transport)
    alice, bob = pair(network)
    calls = answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(1)
    assert alice.names() == ["Progress", "Connected"]
    assert bob.names() == ["Invited", "Connected"]
    assert alice.told(Connected)[0].sdp == OTHER_SDP  # type: ignore[attr-defined]
    (call if who == "alice" else calls[0]).hang_up(network.now)
    network.run()
    other = bob if who == "alice" else alice
    assert other.names()[-1] == "Ended"
    assert network.leftovers == {}
    assert [line for line in network.wire if "BYE" in line] == [
        f"{who}: BYE sip:{other.name}@{other.host}:5060;transport={transport.lower()}"
    ]


def test_refusals_and_what_they_say() -> None:
    network = Network()
    alice, bob = pair(network)

    def react(event: Event) -> None:
        if isinstance(event, Invited):
            event.call.reject(486, network.now, headers={"X-Why": "lunch"})

    bob.react = react
    dial(network, alice, bob.uri)
    network.run()
    (failed,) = alice.told(Failed)
    assert (failed.status, failed.reason) == (486, "Busy Here")  # type: ignore[attr-defined]
    assert failed.response.headers.get("X-Why") == "lunch"  # type: ignore[attr-defined]
    assert network.leftovers == {}


def test_nobody_is_there() -> None:
    network = Network()
    alice = network.end("alice", "10.0.0.1")
    network.end("bob", "10.0.0.2").agent.receive = lambda *_: None  # type: ignore[method-assign]
    began = network.now
    dial(network, alice, Uri(user="bob", host="10.0.0.2"))
    network.run(until=lambda: bool(alice.events))
    assert alice.told(Failed)[0].status == 408  # type: ignore[attr-defined]
    assert network.now - began == 32
    assert len(network.wire) == 7  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s
    assert network.leftovers == {}


def test_a_name_that_leads_nowhere_fails_at_once() -> None:
    network = Network()
    alice = network.end("alice", "10.0.0.1")
    dial(network, alice, Uri(user="bob", host="10.9.9.9"))
    network.run(0.1)
    assert alice.names() == ["Failed"]
    assert network.leftovers == {}


def test_giving_up_while_it_rings() -> None:
    network = Network()
    alice, bob = pair(network)
    bob.react = lambda event: (
        event.call.provisional(180, network.now) if isinstance(event, Invited) else None
    )
    call = dial(network, alice, bob.uri)
    network.run(2)
    call.give_up(network.now)
    network.run()
    assert alice.names() == ["Progress", "Failed"]
    assert alice.told(Failed)[0].status == 487  # type: ignore[attr-defined]
    assert bob.names() == ["Invited", "Cancelled"]
    assert network.leftovers == {}


def test_giving_up_before_anything_was_heard_waits_for_the_first_word() -> None:
    network = Network()
    alice, bob = pair(network)
    bob.react = lambda event: (
        event.call.provisional(180, network.now) if isinstance(event, Invited) else None
    )
    call = dial(network, alice, bob.uri)
    call.give_up(network.now)
    network.run()
    assert [line for line in network.wire if line.startswith("alice")][:2] == [
        "alice: INVITE sip:bob@10.0.0.2:5060;transport=udp",
        "alice: CANCEL sip:bob@10.0.0.2:5060;transport=udp",
    ]
    assert bob.told(Cancelled)
    assert alice.told(Failed)
    assert network.leftovers == {}


def test_a_cancel_that_crosses_the_answer() -> None:
    network = Network(delay_s=(0.1, 0.1))
    alice, bob = pair(network)
    answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(until=lambda: bool(bob.events))
    call.give_up(network.now)
    network.run()
    assert "Connected" not in alice.names()
    assert alice.told(Failed)[0].status == 487  # type: ignore[attr-defined]
    assert bob.names() == ["Invited", "Connected", "Ended"]
    assert network.leftovers == {}


def lost_first(*words: str) -> Callable[[str], bool]:
    """Lose the first message that contains each of these."""
    left = list(words)

    def loses(line: str) -> bool:
        for word in left:
            if word in line:
                left.remove(word)
                return True
        return False

    return loses


@pytest.mark.parametrize(
    "lost",
    [("INVITE",), ("bob: 200",), ("ACK",), ("bob: 200", "ACK"), ("BYE",), ("INVITE", "200", "ACK")],
    ids=" ".join,
)
def test_any_message_may_be_lost(lost: tuple[str, ...]) -> None:
    network = Network(loses=lost_first(*lost))
    alice, bob = pair(network)
    answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(8)
    assert alice.told(Connected)
    assert bob.told(Connected)
    call.hang_up(network.now)
    network.run()
    assert bob.names()[-1] == "Ended"
    assert network.leftovers == {}


def test_an_ack_that_never_comes_ends_the_call() -> None:
    network = Network(loses=lambda line: "ACK" in line)
    alice, bob = pair(network)
    answering(network, bob)
    dial(network, alice, bob.uri)
    network.run()
    assert bob.told(Ended)[0].why == "no ACK came"  # type: ignore[attr-defined]
    assert alice.names()[-1] == "Ended"
    assert network.leftovers == {}


def test_a_callee_that_hangs_up_at_once_waits_for_the_ack() -> None:
    network = Network()
    alice, bob = pair(network)

    def react(event: Event) -> None:
        if isinstance(event, Invited):
            event.call.answer(OTHER_SDP, network.now)
            event.call.hang_up(network.now)

    bob.react = react
    dial(network, alice, bob.uri)
    network.run()
    assert [line.partition(" sip")[0] for line in network.wire if "100" not in line] == [
        "alice: INVITE",
        "bob: 200 OK",
        "alice: ACK",
        "bob: BYE",
        "alice: 200 OK",
    ]
    assert alice.names() == ["Connected", "Ended"]
    assert network.leftovers == {}


def test_byes_that_cross() -> None:
    network = Network(delay_s=(0.1, 0.1))
    alice, bob = pair(network)
    calls = answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(2)
    call.hang_up(network.now)
    calls[0].hang_up(network.now)
    network.run()
    assert "Ended" not in alice.names() + bob.names()  # each hung up itself
    assert network.leftovers == {}


def test_hold_and_resume() -> None:
    network = Network()
    alice, bob = pair(network)
    answering(network, bob)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Offer):
            event.accept(OTHER_SDP, network.now)

    bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(1)
    held = SDP + b"a=sendonly\r\n"
    call.offers.make(held, network.now)
    network.run(1)
    assert bob.told(Offer)[0].sdp == held  # type: ignore[attr-defined]
    assert alice.told(OfferAnswered)[0].sdp == OTHER_SDP  # type: ignore[attr-defined]
    call.hang_up(network.now)
    network.run()
    assert network.leftovers == {}


def test_an_offer_that_is_not_taken_leaves_the_call() -> None:
    network = Network()
    alice, bob = pair(network)
    answering(network, bob)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Offer):
            event.refuse(network.now)

    bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(1)
    call.offers.make(SDP, network.now)
    network.run(1)
    assert alice.told(OfferRefused)[0].status == 488  # type: ignore[attr-defined]
    assert call.state == "up"


@pytest.mark.parametrize("seed", range(8))
def test_both_offer_at_once(seed: int) -> None:
    network = Network(delay_s=(0.05, 0.1), seed=seed)
    alice, bob = pair(network)
    calls = answering(network, bob)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Offer):
            event.accept(OTHER_SDP, network.now)

    alice.react = bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(2)
    call.offers.make(SDP + b"a=sendonly\r\n", network.now)
    calls[0].offers.make(OTHER_SDP + b"a=inactive\r\n", network.now)
    network.run(20)
    assert alice.told(OfferAnswered)
    assert bob.told(OfferAnswered)
    assert any("491" in line for line in network.wire)
    call.hang_up(network.now)
    network.run()
    assert network.leftovers == {}


def test_words_and_digits_within_a_call() -> None:
    network = Network()
    alice, bob = pair(network)
    calls = answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(1)
    call.requests.send_info("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", network.now)
    calls[0].requests.send_message("grüß dich".encode(), network.now)
    network.run(1)
    (info,), (message,) = bob.told(InfoReceived), alice.told(MessageReceived)
    assert info.content_type == "application/dtmf-relay"  # type: ignore[attr-defined]
    assert message.body.decode() == "grüß dich"  # type: ignore[attr-defined]
    assert [e.status for e in alice.told(Done)] == [200]  # type: ignore[attr-defined]


def test_a_transfer_and_how_it_goes() -> None:
    network = Network()
    alice, bob = pair(network)
    answering(network, bob)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Referral):
            event.accept(network.now)
            event.call.requests.notify_referral(200, "OK", network.now)

    bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(1)
    call.requests.refer(parse_uri("sip:carol@10.0.0.3"), network.now)
    network.run(2)
    assert bob.told(Referral)[0].target.uri.host == "10.0.0.3"  # type: ignore[attr-defined]
    assert [e.status for e in alice.told(Done)] == [202]  # type: ignore[attr-defined]
    assert [e.status for e in alice.told(ReferralProgress)] == [100, 200]  # type: ignore[attr-defined]


def test_a_reliable_ring_is_repeated_until_it_is_acknowledged() -> None:
    network = Network(loses=lost_first("bob: 180", "PRACK"))
    alice, bob = pair(network)
    bob.react = lambda event: (
        event.call.provisional(180, network.now) if isinstance(event, Invited) else None
    )
    dial(network, alice, bob.uri, headers={"Require": "100rel"})
    network.run(10)
    assert len(alice.told(Progress)) == 1
    assert sum("PRACK" in line for line in network.wire) == 2
    assert sum("bob: 180" in line for line in network.wire) >= 2
    calls = [e.call for e in bob.told(Invited)]  # type: ignore[attr-defined]
    calls[0].answer(OTHER_SDP, network.now)
    network.run(2)
    assert alice.told(Connected)


def test_a_timer_keeps_a_quiet_call_and_ends_a_dead_one() -> None:
    network = Network()
    alice, bob = pair(network)
    answering(network, bob)
    dial(network, alice, bob.uri, expires_s=100)
    network.run(500)
    assert sum("alice: UPDATE" in line for line in network.wire) >= 9
    assert "Ended" not in alice.names() + bob.names()
    network.loses = lambda line: line.startswith("alice")
    network.run(300)
    assert bob.told(Ended)[0].why == "the session timer ran out (RFC 4028)"  # type: ignore[attr-defined]
    assert alice.names()[-1] == "Ended"
    assert network.leftovers == {}


@pytest.mark.parametrize("seed", range(60))
def test_calls_over_a_bad_network_end_well(seed: int) -> None:
    """Losing a fifth, doubling a tenth, overtaking: both ends agree, and nothing is left."""
    network = Network(seed=seed, loss=0.2, twice=0.1, delay_s=(0.01, 0.4))
    alice, bob = pair(network)
    calls = answering(network, bob, rings=seed % 2 == 0)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Offer):
            event.accept(OTHER_SDP, network.now)

    alice.react = bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(network.random.uniform(0, 3))
    match seed % 5:
        case 0:
            call.give_up(network.now)
        case 1 if call.state == "up":
            call.offers.make(SDP, network.now)
        case 2 if calls and calls[0].state == "up":
            calls[0].offers.make(OTHER_SDP, network.now)
    network.run(40)
    for one in (call, *calls):
        if one.state == "up":
            one.hang_up(network.now)
            network.run(5)
    network.run(300)
    assert {c.state for c in (call, *calls)} == {"over"}
    assert network.leftovers == {}
    assert len(calls) <= 1
    for end in (alice, bob):
        assert len(end.told(Connected)) <= 1
        assert len(end.told(Ended)) + len(end.told(Failed)) <= 1


def test_a_bye_that_comes_late_is_answered_and_ends_nothing() -> None:
    """Alice's BYE was answered and forgotten; Bob's, held up on the way, finds no call."""
    network = Network()
    alice, bob = pair(network)
    calls = answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(1)
    assert calls[0].dialog is not None
    late = calls[0].dialog.request("BYE", via=bob.agent.us.via("UDP"))
    call.hang_up(network.now)
    network.run(100)
    before = alice.names()
    got: list[int] = []
    bob.agent.send(
        late, alice.uri, lambda r, now: got.append(0 if r is None else r.status), network.now
    )
    network.run(40)
    assert got == [481]
    assert alice.names() == before
    assert network.leftovers == {}


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_an_invite_that_is_repeated_is_one_call(transport: str) -> None:
    network = Network(transport=transport, twice=1.0, delay_s=(0.01, 0.3))
    alice, bob = pair(network)
    calls = answering(network, bob)
    call = dial(network, alice, bob.uri)
    network.run(5)
    assert len(calls) == 1
    assert (call.state, calls[0].state) == ("up", "up")
    call.hang_up(network.now)
    network.run()
    assert network.leftovers == {}


@pytest.mark.parametrize("seed", range(24))
def test_transfers_over_a_bad_network_come_to_one_end(seed: int) -> None:
    """Whatever is lost or overtakes: the transferor learns the outcome, once and truly."""
    network = Network(seed=seed, loss=0.2, twice=0.1, delay_s=(0.01, 0.4))
    alice, bob = pair(network)
    answering(network, bob)
    taking, outcome = bob.react, (200, 486, 603)[seed % 3]

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Referral):
            event.accept(network.now)
            event.call.requests.notify_referral(180, "Ringing", network.now)
            event.call.requests.notify_referral(outcome, "Over", network.now)

    bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(20)
    assert call.state == "up"
    call.requests.refer(parse_uri("sip:carol@10.0.0.3"), network.now)
    network.run(60)
    assert len(bob.told(Referral)) == 1
    told = [e.status for e in alice.told(ReferralProgress)]  # type: ignore[attr-defined]
    assert told.count(outcome) == 1
    assert [e.over for e in alice.told(ReferralProgress)].count(True) == 1  # type: ignore[attr-defined]
    if call.state == "up":
        call.hang_up(network.now)
    network.run(300)
    assert network.leftovers == {}


def test_a_second_transfer_says_which_it_tells_of() -> None:
    network = Network()
    alice, bob = pair(network)
    answering(network, bob)
    taking = bob.react

    def react(event: Event) -> None:
        taking(event)
        if isinstance(event, Referral):
            event.accept(network.now)
            event.call.requests.notify_referral(486, "Busy Here", network.now)

    bob.react = react
    call = dial(network, alice, bob.uri)
    network.run(1)
    seen: list[str | None] = []
    receive = alice.agent.receive

    def look(message: Message | BadMessage, flow: Flow, now: float) -> None:
        if isinstance(message, Request) and message.method == "NOTIFY":
            seen.append(message.headers.get("Event"))
        receive(message, flow, now)

    alice.agent.receive = look  # type: ignore[method-assign]
    for name in ("carol", "dave"):
        call.requests.refer(
            parse_uri(f"sip:{name}@10.0.0.3"), network.now, headers={"X-Why": "away"}
        )
        network.run(2)
    assert seen == ["refer", "refer", "refer;id=3", "refer;id=3"]


def test_a_refer_names_the_call_that_it_replaces() -> None:
    network = Network()
    alice, bob = pair(network)
    carol = network.end("carol", "10.0.0.3")
    answering(network, bob)
    theirs = answering(network, carol)
    call, other = dial(network, alice, bob.uri), dial(network, alice, carol.uri)
    network.run(1)
    assert other.dialog is not None
    call.requests.refer(other.dialog.remote_target, network.now, replaces=other.dialog)
    network.run(1)
    target = bob.told(Referral)[0].target.uri  # type: ignore[attr-defined]
    assert target.host == "10.0.0.3"
    assert carol.agent.find_call(Dialog.replaced(target.header("Replaces"))) is theirs[0]


@pytest.mark.parametrize("text", ["", "id", "id;to-tag=a", "id;from-tag=a", ";to-tag=a;from-tag=b"])
def test_what_is_no_replaces(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Dialog.replaced(text)
