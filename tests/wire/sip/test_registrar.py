"""Registrations: proven, renewed, ended, and silent about who exists."""

from __future__ import annotations

import pytest

from voxpy.wire.sip.agent import Account, Flow, authorized
from voxpy.wire.sip.digest import Verifier
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.registrar import MOST_CONTACTS, Registrar
from voxpy.wire.sip.values import parse_uri

FLOW = Flow("UDP", "10.0.0.9", 5062)


class Phone:
    def __init__(
        self, registrar: Registrar, *, user: str = "anna", password: str = "secret"
    ) -> None:
        self.registrar = registrar
        self.account = Account(user, password)
        self.number = 0
        self.now = 0.0

    def register(
        self, contact: str = "<sip:anna@10.0.0.9>", *, of: str = "anna", **headers: str
    ) -> Response:
        self.number += 1
        request = Request(method="REGISTER", uri=parse_uri("sip:voxpy"))
        request.headers.extend(
            {
                "Via": "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1",
                "From": f"<sip:{of}@voxpy>;tag=1",
                "To": f"<sip:{of}@voxpy>",
                "Call-ID": "r1",
                "CSeq": f"{self.number} REGISTER",
                **headers,
            }
        )
        if contact:
            request.headers.add("Contact", contact)
        answer = self.send(request)
        if answer.status == 401:
            request.headers.set("CSeq", f"{self.number} REGISTER")
            assert authorized(request, answer, self.account, cnonce=f"c{self.number}")
            answer = self.send(request)
        return answer

    def send(self, request: Request) -> Response:
        return self.registrar.register(request, FLOW, now=self.now, wall_s=1e9, to_tag="t")


@pytest.fixture
def registrar() -> Registrar:
    return Registrar(Verifier("voxpy", lambda: b"key"), {"anna": "secret"})


def test_a_phone_is_found_until_its_time_is_over(registrar: Registrar) -> None:
    phone = Phone(registrar)
    answer = phone.register(Expires="120")
    assert answer.status == 200
    assert answer.headers.all("Contact") == ["<sip:anna@10.0.0.9>;expires=120"]
    assert [b.flow for b in registrar.contacts("anna", 100.0)] == [FLOW]
    assert registrar.online(100.0) == {"anna": 1}
    assert registrar.contacts("anna", 121.0) == []


def test_several_phones_of_one_user_the_latest_first(registrar: Registrar) -> None:
    phone = Phone(registrar)
    for n in range(MOST_CONTACTS + 2):
        assert phone.register(f"<sip:anna@10.0.0.{n}>").status == 200
    found = [b.contact.host for b in registrar.contacts("anna", 1.0)]
    assert found == [f"10.0.0.{n}" for n in range(MOST_CONTACTS + 1, 1, -1)]
    assert phone.register("<sip:anna@10.0.0.5>;expires=0").status == 200
    assert "10.0.0.5" not in [b.contact.host for b in registrar.contacts("anna", 1.0)]
    assert phone.register("*", Expires="0").status == 200
    assert registrar.contacts("anna", 1.0) == []


def test_no_contact_asks_what_there_is(registrar: Registrar) -> None:
    phone = Phone(registrar)
    phone.register()
    assert len(phone.register("").headers.all("Contact")) == 1


@pytest.mark.parametrize(("user", "password"), [("anna", "guess"), ("nobody", "secret")])
def test_a_stranger_learns_nothing(registrar: Registrar, user: str, password: str) -> None:
    answer = Phone(registrar, user=user, password=password).register(of=user)
    assert (answer.status, answer.reason) == (403, "Forbidden")


def test_one_user_cannot_register_another() -> None:
    registrar = Registrar(Verifier("voxpy", lambda: b"key"), {"anna": "secret", "bert": "other"})
    assert Phone(registrar, user="bert", password="other").register(of="anna").status == 403


def test_wrong_wishes(registrar: Registrar) -> None:
    phone = Phone(registrar)
    short = phone.register(Expires="5")
    assert (short.status, short.headers.get("Min-Expires")) == (423, "60")
    assert phone.register("*").status == 400
    assert phone.register('"<sip:anna').status == 400


def test_an_older_request_that_comes_later_changes_nothing(registrar: Registrar) -> None:
    phone = Phone(registrar)
    phone.register("<sip:anna@10.0.0.1>")
    phone.number -= 1
    assert phone.register("<sip:anna@10.0.0.2>").status == 500
    assert [b.contact.host for b in registrar.contacts("anna", 1.0)] == ["10.0.0.1"]


def test_the_way_through_proxies_is_kept_and_confirmed(registrar: Registrar) -> None:
    path = "<sip:10.0.0.5;lr;received=sip:198.51.100.7:5062%3Btransport%3Dtcp>"
    answer = Phone(registrar).register(Path=f"{path}, <sip:10.0.0.6;lr>", Require="path")
    assert answer.headers.all("Path") == [f"{path}, <sip:10.0.0.6;lr>"]
    assert [b.path for b in registrar.contacts("anna", 1.0)] == [(path, "<sip:10.0.0.6;lr>")]
    again = Phone(registrar)
    again.number = 5
    assert again.register(Path=", ".join(["<sip:10.0.0.6;lr>"] * 9)).status == 400
    assert again.register(Path="<sip:").status == 400
    assert again.register().status == 200
    assert [b.path for b in registrar.contacts("anna", 1.0)] == [()]
