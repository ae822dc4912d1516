"""Providers whose API places calls, as their pages describe them, on real HTTP on this machine.

A request to call is answered as the provider answers it; then the callee does what ``callee`` says,
the status callbacks go where they were asked to go, signed where the provider signs, and when the
callee has answered the provider's media stream comes to the address it was given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import attrs
import h11
import httpx
import orjson
import trio

from voxpy.channels.providers.plivo import plivo_signature
from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.channels.providers.twilio import twilio_signature
from voxpy.channels.simulated import FarEnd
from voxpy.simulation.dialin import ProviderPhone, dial_host
from voxpy.sockets.streams import open_tcp

SECRETS = {
    "twilio": {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "twilio-token"},
    "telnyx": {"TELNYX_API_KEY": "telnyx-key", "MEDIA_TOKEN": "media-token"},
    "plivo": {"PLIVO_AUTH_ID": "MA1", "PLIVO_AUTH_TOKEN": "plivo-token"},
    "vonage": {"VONAGE_APPLICATION_ID": "app", "MEDIA_TOKEN": "media-token"},
}


@attrs.define
class Order:
    """A call that the API was asked for, whichever way that was said."""

    to: str
    caller: str
    stream_url: str
    status_urls: tuple[str, ...]
    answer_url: str = ""
    detects: bool = False


@attrs.define
class FakeApi:
    """One provider. ``requests`` are what its API was asked, as ``METHOD /path``.

    ``callee`` is ``answers``, ``busy``, ``never`` or ``refused`` (the API itself fails, 500).
    """

    name: str
    callee: str
    nursery: trio.Nursery
    url: str = ""
    requests: list[str] = attrs.field(factory=list)
    orders: list[Order] = attrs.field(factory=list)
    callbacks: list[int] = attrs.field(factory=list)
    """What each was answered; 0 if nobody was there."""
    phone: ProviderPhone | None = None
    ear: FarEnd | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)
    secret: Mapping[str, str] = attrs.field(factory=dict)

    # -- its API ----------------------------------------------------------------------------------

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
        assert request is not None
        path = request.target.decode()
        self.requests.append(f"{request.method.decode()} {path}")
        status, answer = self._answer(request.method.decode(), path, body)
        head = h11.Response(
            status_code=status,
            headers=[("Content-Type", "application/json"), ("Content-Length", str(len(answer)))],
        )
        for event in (head, h11.Data(data=answer), h11.EndOfMessage()):
            await stream.send_all(connection.send(event) or b"")
        await stream.aclose()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        placing = {
            "twilio": "/Calls.json",
            "telnyx": "/v2/calls",
            "plivo": "/Call/",
            "vonage": "/v1/calls",
        }
        if method != "POST" or not path.endswith(placing[self.name]):
            self.ended.set()  # somebody hangs up, or cancels
            return 200, b"{}"
        if self.callee == "refused":
            return 500, b'{"message": "out of order"}'
        order = READERS[self.name](body)
        self.orders.append(order)
        self.nursery.start_soon(self._call, order)
        return 201, orjson.dumps(PLACED[self.name])

    # -- the callee -------------------------------------------------------------------------------

    async def _call(self, order: Order) -> None:
        await self._tell(order, "ringing")
        if self.callee == "busy":
            await self._tell(order, "busy")
            return
        if self.callee == "never":
            await self.ended.wait()
            await self._tell(order, "cancelled")
            return
        await self._tell(order, "answered")
        if order.detects:
            await self._tell(order, "machine")
        if order.answer_url:
            order.stream_url = await self._markup(order)
        await self._stream(order)
        await self._tell(order, "completed")

    async def _stream(self, order: Order) -> None:
        provider = PROVIDERS[self.name]
        call = PhoneCall(
            call_id=f"{self.name}-call",
            caller=order.caller,
            callee=order.to,
            format=provider.formats[0],
        )
        carrier = provider.place(call)
        headers = provider.stream_headers(order.stream_url, self.secret.get, now=0.0, nonce="once")
        line = await dial_host(open_tcp, order.stream_url, carrier, headers=headers)
        self.phone = ProviderPhone(line, carrier)
        if self.ear is not None:
            self.phone.connect_far_end(self.ear)
        await self.phone.run()

    async def _markup(self, order: Order) -> str:
        """Ask what to do with the call that was answered; return the address of the stream."""
        form = {
            "CallUUID": "plivo-call",
            "CallStatus": "in-progress",
            "Event": "StartApp",
            "From": order.caller,
            "To": order.to,
        }
        response = await self._post(order.answer_url, form)
        found = ElementTree.fromstring(response.text).find("Stream")
        assert found is not None, response.text
        assert found.text is not None
        return found.text

    async def _tell(self, order: Order, what: str) -> None:
        said = CALLBACKS[self.name].get(what)
        if said is None:
            return
        for url in dict.fromkeys(order.status_urls):
            try:
                response = await self._post(url, said)
            except httpx.TransportError:  # the host is gone, or going
                self.callbacks.append(0)
            else:
                self.callbacks.append(response.status_code)

    async def _post(self, url: str, said: Mapping[str, Any]) -> httpx.Response:
        headers: dict[str, str] = {}
        async with httpx.AsyncClient() as client:
            if self.name == "twilio":
                token = self.secret["TWILIO_AUTH_TOKEN"]
                headers["X-Twilio-Signature"] = twilio_signature(token, url, said)
                return await client.post(url, data=dict(said), headers=headers)
            if self.name == "plivo":
                token = self.secret["PLIVO_AUTH_TOKEN"]
                nonce = str(len(self.callbacks))
                headers["X-Plivo-Signature-V3"] = plivo_signature(token, url, nonce, said)
                headers["X-Plivo-Signature-V3-Nonce"] = nonce
                return await client.post(url, data=dict(said), headers=headers)
            return await client.post(url, json=said)


# -- how each of them says it ----------------------------------------------------------------------


def _twilio(body: bytes) -> Order:
    form = parse_qs(body.decode())
    assert form["StatusCallbackEvent"] == ["ringing", "answered", "completed"]
    stream = ElementTree.fromstring(form["Twiml"][0]).find("Connect/Stream")
    assert stream is not None
    (status,) = form["StatusCallback"]
    return Order(
        to=form["To"][0],
        caller=form["From"][0],
        stream_url=stream.attrib["url"],
        status_urls=(status,),
        detects="MachineDetection" in form,
    )


def _telnyx(body: bytes) -> Order:
    asked = orjson.loads(body)
    assert asked["connection_id"] == "conn-1"
    assert asked["stream_bidirectional_mode"] == "rtp"
    return Order(
        asked["to"],
        asked["from"],
        asked["stream_url"],
        (asked["webhook_url"],),
        detects="answering_machine_detection" in asked,
    )


def _plivo(body: bytes) -> Order:
    asked = orjson.loads(body)
    return Order(
        asked["to"],
        asked["from"],
        "",
        (asked["ring_url"], asked["hangup_url"]),
        asked["answer_url"],
        detects="machine_detection" in asked,
    )


def _vonage(body: bytes) -> Order:
    asked = orjson.loads(body)
    (action,) = asked["ncco"]
    (endpoint,) = action["endpoint"]
    return Order(
        asked["to"][0]["number"],
        asked["from"]["number"],
        endpoint["uri"],
        tuple(asked["event_url"]),
        detects="machine_detection" in asked,
    )


READERS: Mapping[str, Callable[[bytes], Order]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "vonage": _vonage,
}
PLACED: Mapping[str, Any] = {
    "twilio": {"sid": "twilio-call", "status": "queued"},
    "telnyx": {"data": {"call_control_id": "telnyx-call", "record_type": "call"}},
    "plivo": {"message": "call fired", "request_uuid": "plivo-request", "api_id": "1"},
    "vonage": {"uuid": "vonage-call", "status": "started", "direction": "outbound"},
}


def _event(kind: str, **payload: str) -> dict[str, Any]:
    told = {"call_control_id": "telnyx-call", **payload}
    return {"data": {"event_type": kind, "record_type": "event", "payload": told}}


CALLBACKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "twilio": {
        "ringing": {"CallSid": "twilio-call", "CallStatus": "ringing"},
        "answered": {"CallSid": "twilio-call", "CallStatus": "in-progress"},
        "machine": {"AnsweredBy": "machine_start", "MachineDetectionDuration": "3000"},
        "busy": {"CallStatus": "busy", "SipResponseCode": "486"},
        "cancelled": {"CallStatus": "canceled"},
        "completed": {"CallStatus": "completed", "CallDuration": "3"},
    },
    "telnyx": {
        "ringing": _event("call.initiated"),
        "answered": _event("call.answered"),
        "machine": _event("call.machine.detection.ended", result="machine"),
        "busy": _event("call.hangup", hangup_cause="user_busy", sip_hangup_cause="486"),
        "cancelled": _event("call.hangup", hangup_cause="originator_cancel"),
        "completed": _event("call.hangup", hangup_cause="normal_clearing"),
    },
    "plivo": {
        "ringing": {"Event": "Ring", "CallStatus": "ringing", "RequestUUID": "plivo-request"},
        "machine": {"Event": "MachineDetection", "Machine": "true"},
        "busy": {"Event": "Hangup", "CallStatus": "busy", "HangupCauseCode": "3010"},
        "cancelled": {"Event": "Hangup", "CallStatus": "cancel"},
        "completed": {"Event": "Hangup", "CallStatus": "completed", "HangupCauseCode": "4000"},
    },
    "vonage": {
        "ringing": {"uuid": "vonage-call", "status": "ringing"},
        "answered": {"uuid": "vonage-call", "status": "answered"},
        "machine": {"uuid": "vonage-call", "status": "machine"},
        "busy": {"uuid": "vonage-call", "status": "busy"},
        "cancelled": {"uuid": "vonage-call", "status": "cancelled"},
        "completed": {"uuid": "vonage-call", "status": "completed"},
    },
}


@asynccontextmanager
async def fake_api(name: str, callee: str = "answers") -> AsyncIterator[FakeApi]:
    """Run a provider for as long as the block."""
    async with trio.open_nursery() as nursery:
        api = FakeApi(name, callee, nursery)
        serving = partial(trio.serve_tcp, api.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serving)
        api.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        api.secret = {**SECRETS[name], f"{name.upper()}_API_URL": api.url}
        if name == "vonage":
            api.secret = {**api.secret, "VONAGE_PRIVATE_KEY": _key()}
        yield api
        nursery.cancel_scope.cancel()


def _key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
