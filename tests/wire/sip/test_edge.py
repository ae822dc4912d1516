"""Between a host that calls and a phone that has its connection to another: nothing is kept."""

from __future__ import annotations

import hashlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.edge import Edge, Passed
from voxpy.wire.sip.message import Message, Request, Response, parse_message
from voxpy.wire.sip.values import Uri, parse_uri

PHONE = Flow("TLS", "192.0.2.7", 40001)
CALLER = Flow("UDP", "10.0.0.1", 5060)
HOSTS = {"10.0.0.1:5060", "10.0.0.2:5060"}


def sign(text: str) -> str:
    return hashlib.sha256(f"key {text}".encode()).hexdigest()


def edge(worker: int = 3) -> Edge:
    def sent_by(transport: str) -> str:
        return "10.0.0.2:5061" if transport == "TLS" else "10.0.0.2:5060"

    return Edge(worker, sent_by, sign, HOSTS.__contains__)


PATH = edge().path("10.0.0.2:5060", PHONE, 3)


def request(method: str = "INVITE", *routes: str, uri: str = "sip:bert@192.0.2.7:40001") -> Request:
    made = Request(method=method, uri=parse_uri(uri))
    made.headers.extend(
        {
            "Via": "SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKone",
            "Max-Forwards": "70",
            "From": "<sip:anna@x>;tag=a",
            "To": "<sip:bert@x>",
            "Call-ID": "c",
            "CSeq": f"1 {method}",
        }
    )
    for route in routes:
        made.headers.add("Route", route)
    return sent(made)


def sent(message: Message) -> Request:
    read = parse_message(message.to_bytes())
    assert isinstance(read, Request)
    return read


def passed(message: Message, flow: Flow, by: Edge | None = None) -> Passed:
    found = (by or edge()).pass_on(message, flow)
    assert found is not None
    return found


def asked(found: Passed) -> Request:
    assert isinstance(found.message, Request)
    return found.message


def answered(found: Passed) -> Response:
    assert isinstance(found.message, Response)
    return found.message


def test_a_call_goes_to_the_phone_and_its_answer_back() -> None:
    there = passed(request("INVITE", PATH), CALLER)
    assert (there.to, there.worker) == (PHONE, 3)
    invite = asked(there)
    assert invite.headers.get("Route") is None
    assert invite.headers.get("Max-Forwards") == "69"
    assert [str(v).partition(";")[0] for v in invite.vias] == [
        "SIP/2.0/TLS 10.0.0.2:5061",
        "SIP/2.0/UDP 10.0.0.1:5060",
    ]
    ringing = invite.response(180, to_tag="b")
    back = passed(ringing, PHONE)
    assert back.to == CALLER
    assert [v.branch for v in answered(back).vias] == ["z9hG4bKone"]


def test_either_end_finds_the_other_later() -> None:
    """By Record-Route: the phone by its connection (RFC 5658), the host by UDP."""
    ways = asked(passed(request("INVITE", PATH), CALLER)).headers.elements("Record-Route")
    assert [way.partition(";lr")[0] for way in ways] == [
        "<sip:10.0.0.2:5061;transport=tls",
        "<sip:10.0.0.2:5060",
    ]
    bye = request("BYE", *ways, uri="sip:voxpy@10.0.0.1:5060")
    from_phone = passed(bye, PHONE)
    assert from_phone.to == Uri(host="10.0.0.1", port=5060)
    assert asked(from_phone).headers.get("Route") is None
    done = passed(asked(from_phone).response(200), CALLER)
    assert (done.to, done.worker) == (PHONE, 3)
    from_host = passed(request("BYE", *reversed(ways)), CALLER)
    assert (from_host.to, from_host.worker) == (PHONE, 3)


def test_a_cancel_and_an_ack_look_like_their_invite_whichever_worker_gets_them() -> None:
    branches = {
        asked(passed(request(method, PATH), CALLER, edge(worker))).via.branch
        for method in ("INVITE", "CANCEL", "ACK")
        for worker in range(3)
    }
    assert len(branches) == 1


def test_other_routes_are_kept_in_their_order() -> None:
    found = passed(request("INVITE", PATH, "<sip:a;lr>", "<sip:b;lr>"), CALLER)
    assert asked(found).headers.all("Route") == ["<sip:a;lr>", "<sip:b;lr>"]


@pytest.mark.parametrize(
    "message", [request("INVITE"), request("OPTIONS", "<sip:10.0.0.2;lr>"), request().response(200)]
)
def test_what_is_for_us_is_not_passed_on(message: Message) -> None:
    assert edge().pass_on(message, CALLER) is None


def test_a_route_that_is_no_route_is_the_agents_business() -> None:
    broken = request("INVITE")
    broken.headers.add("Route", "<sip:10.0.0.2;voxpy-flow=1")
    assert edge().pass_on(broken, CALLER) is None


def test_a_phone_reaches_hosts_of_ours_and_nobody_else() -> None:
    found = passed(request("BYE", PATH, uri="sip:x@198.51.100.1"), PHONE)
    assert (answered(found).status, found.to) == (403, PHONE)
    found = passed(request("BYE", PATH, "<sip:198.51.100.1;lr>", uri="sip:x@10.0.0.1"), PHONE)
    assert answered(found).status == 403


def test_a_circle_ends() -> None:
    tired = request("INVITE", PATH)
    tired.headers.set("Max-Forwards", "0")
    assert answered(passed(tired, CALLER)).status == 483


@given(st.data())
def test_no_word_of_ours_can_be_made_by_others(data: st.DataObject) -> None:
    token = PATH.partition("voxpy-flow=")[2].rstrip(">")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("0123456789abcdef.").filter(lambda c: c != token[at]))
    forged = PATH.replace(token, token[:at] + other + token[at + 1 :])
    assert answered(passed(request("INVITE", forged), CALLER)).status == 403

    there = asked(passed(request("INVITE", PATH), CALLER))
    branch = there.via.branch
    at = data.draw(st.integers(len("z9hG4bKedge."), len(branch) - 1))
    other = data.draw(st.sampled_from("0123456789abcdef.").filter(lambda c: c != branch[at]))
    answer = there.response(200, to_tag="b")
    vias = answer.headers.elements("Via")
    forged = vias[0].replace(branch, branch[:at] + other + branch[at + 1 :])
    answer.headers.put_first("Via", [forged, vias[1]])
    with pytest.raises(RemoteProtocolError):
        edge().pass_on(answer, PHONE)


def test_an_answer_that_was_meant_for_another_request_goes_nowhere() -> None:
    there = asked(passed(request("INVITE", PATH), CALLER))
    answer = there.response(200, to_tag="b")
    ours, theirs = answer.vias
    stolen = attrs.evolve(theirs, params={**theirs.params, "branch": "z9hG4bKtwo"})
    answer.headers.put_first("Via", [str(ours), str(stolen)])
    with pytest.raises(RemoteProtocolError):
        edge().pass_on(answer, PHONE)


def test_an_ipv6_phone() -> None:
    phone = Flow("WSS", "2001:db8::7", 40001)
    path = edge().path("[2001:db8::2]:5060", phone, 0)
    there = passed(request("INVITE", path), CALLER)
    assert there.to == phone
    assert "transport=wss" in asked(there).headers.elements("Record-Route")[0]
