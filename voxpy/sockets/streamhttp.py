"""HTTP over the streams of a session, for services that want requests beside their sockets.

``Net`` reaches the web; this reaches services, by the way that the host has chosen for them, so
that a service can be the local agent, over memory on virtual time as over TCP. httpcore talks; only
how a stream is opened is ours.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import httpcore
import httpx
import trio

from voxpy.engine.inputs import Inputs
from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.engine.session import Session
from voxpy.errors import ConnectFailed

CONNECT_S = 10.0
SILENCE_S = 60.0
"""Between two pieces of an answer: a model may think for long before its first word."""


def service_client(session: Session, *, private: bool = False) -> httpx.AsyncClient:
    """Return a client whose connections go over the streams of ``session``; close it.

    What comes is kept for a replay, unless it is ``private``.
    """
    context = session.context
    transport = context.services or _Transport(context.open_stream)
    if private:
        context.inputs.note("service", "private")
    else:
        transport = _Kept(transport, context.inputs)
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
        headers={"accept-encoding": "identity"},  # pieces of an answer are small, and are kept
    )


class _Kept(httpx.AsyncBaseTransport):
    """Takes down what comes of each request."""

    def __init__(self, transport: httpx.AsyncBaseTransport, inputs: Inputs) -> None:
        self._transport = transport
        self._inputs = inputs

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        note = self._inputs.exchange(request.method, str(request.url))
        try:
            answer = await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            note("failed", reason=str(error))
            raise
        headers = answer.headers.multi_items()
        note("answered", status=answer.status_code, personal={"headers": headers})
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_KeptBody(answer.stream, note),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


class _KeptBody(httpx.AsyncByteStream):
    def __init__(self, body: Any, note: Callable[..., None]) -> None:
        self._body = body
        self._note = note

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._body:
                try:
                    self._note("part", personal=part.decode())
                except UnicodeDecodeError:
                    self._note("bytes", personal=base64.b64encode(part).decode())
                yield part
        except httpx.HTTPError as error:
            self._note("broke", reason=str(error))
            raise
        self._note("ended")

    async def aclose(self) -> None:
        await self._body.aclose()


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, open_stream: OpenStream) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=_Backend(open_stream)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(asked)
        except httpcore.TimeoutException as error:
            raise httpx.ConnectTimeout(str(error) or "no answer in time") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._answer.stream:  # type: ignore[union-attr]
                yield part
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise httpx.ReadError(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, open_stream: OpenStream) -> None:
        self._open_stream = open_stream

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with trio.fail_after(CONNECT_S if timeout is None else timeout):
                stream = await self._open_stream(Endpoint(host=host, port=port, tls=False))
        except ConnectFailed as error:
            raise httpcore.ConnectError(str(error)) from error
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout(f"{host}:{port}: no connection in time") from error
        return _Stream(stream)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError as error:
            raise httpcore.ReadTimeout("no answer in time") from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError("the connection was lost") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError("the connection was lost") from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        secure = trio.SSLStream(
            self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with trio.fail_after(CONNECT_S if timeout is None else timeout):
                await secure.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError, ssl.SSLError) as error:
            await trio.aclose_forcefully(self._stream)
            raise httpcore.ConnectError(f"TLS handshake failed: {error.__cause__ or error}") from (
                error
            )
        return _Stream(secure)

    def get_extra_info(self, info: str) -> Any:
        return None
