"""SIP messages: bytes to requests and responses, and back (RFC 3261 sections 7, 18.3, 25).

A message that cannot be used is a BadMessage. If it is a request whose Via, From, To, Call-ID and
CSeq could be read, it carries the status to answer with and that much of the request; otherwise
there is nobody to answer, and it is dropped. Responses that are wrong are always dropped.

Limits stand here, in names. They are far above what phones send (a long INVITE with SDP is 2 KB)
and far below what would hurt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.values import (
    TOKEN,
    Address,
    CSeq,
    Uri,
    Via,
    parse_address,
    parse_cseq,
    parse_uri,
    parse_via,
    split_list,
)

MOST_HEAD_BYTES = 32_768
MOST_BODY_BYTES = 65_536
MOST_HEADERS = 256

COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""IANA, Session Initiation Protocol parameters, header fields with a compact form."""

WRITTEN = {
    name.lower(): name
    for name in (
        *COMPACT.values(),
        *"Call-ID CSeq MIME-Version WWW-Authenticate RSeq RAck Min-SE SIP-ETag".split(),
    )
}
ONCE = ("call-id", "cseq", "from", "to", "max-forwards", "content-length", "content-type")
"""Headers that stand once: two of them are two opinions of what the message is."""

_HEADER = re.compile(rf"({TOKEN})[ \t]*:[ \t]*(.*)", re.DOTALL)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*)", re.IGNORECASE)
_REQUEST_LINE = re.compile(rf"({TOKEN}) (\S+) (SIP/[0-9]+\.[0-9]+)", re.IGNORECASE)
_RESPONSE = re.compile(r"SIP/[0-9]+\.[0-9]+ ", re.IGNORECASE)
_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT")
_LENGTH = re.compile(r"[0-9]{1,9}")
_STATED = re.compile(rb"(?:^|\r\n)(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)

REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    555: "Push Notification Service Not Supported",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}


SDP = "application/sdp"


class BadMessage(RemoteProtocolError):
    """Bytes that are no message we can use.

    ``status`` is what to answer, ``request`` as much of a request as an answer needs; None where
    nobody is to be answered.
    """

    def __init__(self, problem: str, status: int = 400, request: Request | None = None) -> None:
        self.status = status
        self.request = request
        super().__init__(problem)


class Headers:
    """The header lines in their order; names are the same in any case and in their compact form."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[tuple[str, str]] = [(_canonical(name), text) for name, text in lines]

    def get(self, name: str) -> str | None:
        """Return the first of a name, or None."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        """Return every line of a name."""
        wanted = _canonical(name)
        return [text for found, text in self._lines if found == wanted]

    def elements(self, name: str) -> list[str]:
        """Return the elements of all lines of a name that is a list, in order.

        Raises RemoteProtocolError for one that is wrong.
        """
        return [element for text in self.all(name) for element in split_list(text)]

    def has(self, name: str, option: str) -> bool:
        """Return whether a list of words has this one, in any case."""
        try:
            return any(found.lower() == option for found in self.elements(name))
        except RemoteProtocolError:
            return False

    def add(self, name: str, text: str) -> None:
        """Append a line."""
        self._lines.append((_canonical(name), text))

    def extend(self, extra: Mapping[str, str] | None) -> None:
        """Append lines, if there are any."""
        for name, text in (extra or {}).items():
            self.add(name, text)

    def set(self, name: str, text: str) -> None:
        """Put one line in the place of all lines of this name."""
        wanted = _canonical(name)
        for n, (found, _) in enumerate(self._lines):
            if found == wanted:
                rest = [line for line in self._lines[n + 1 :] if line[0] != wanted]
                self._lines[n:] = [(wanted, text), *rest]
                return
        self.add(name, text)

    def insert(self, name: str, text: str) -> None:
        """Put a line before all others, as a Via is."""
        self._lines.insert(0, (_canonical(name), text))

    def put_first(self, name: str, texts: Sequence[str]) -> None:
        """Put these lines of a name before all others, in the place of those that are there."""
        self.remove(name)
        for text in reversed(texts):
            self.insert(name, text)

    def remove(self, name: str) -> None:
        """Take away all lines of a name."""
        wanted = _canonical(name)
        self._lines = [line for line in self._lines if line[0] != wanted]

    def copy(self) -> Headers:
        """Return headers of their own with the same lines."""
        other = Headers()
        other._lines = list(self._lines)
        return other

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._lines == other._lines

    __hash__ = None  # type: ignore[assignment]  # they change

    def __repr__(self) -> str:
        return f"Headers({self._lines!r})"


@attrs.define(kw_only=True)
class _Shared:
    headers: Headers = attrs.field(factory=Headers)
    body: bytes = b""

    @property
    def call_id(self) -> str:
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> CSeq:
        return parse_cseq(self.headers.get("CSeq") or "")

    @property
    def from_(self) -> Address:
        return parse_address(self.headers.get("From") or "")

    @property
    def to(self) -> Address:
        return parse_address(self.headers.get("To") or "")

    @property
    def via(self) -> Via:
        """The topmost Via: who sent this, or whom a response of ours goes back to."""
        return parse_via(next(split_list(self.headers.get("Via") or "")))

    @property
    def vias(self) -> list[Via]:
        return [parse_via(text) for text in self.headers.elements("Via")]

    @property
    def contact(self) -> Address | None:
        """The first Contact, None if there is none or it is ``*``."""
        text = next(iter(self.headers.elements("Contact")), None)
        return None if text is None or text == "*" else parse_address(text)

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def sdp(self) -> bytes:
        """The body if it is a session description, else nothing."""
        return self.body if self.content_type == SDP else b""

    def _bytes(self, first: str) -> bytes:
        lines = [first]
        lines += [f"{n}: {_one_line(text)}" for n, text in self.headers if n != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + self.body


@attrs.define(kw_only=True)
class Request(_Shared):
    """A request. ``uri`` is the Request-URI."""

    method: str
    uri: Uri

    def to_bytes(self) -> bytes:
        return self._bytes(f"{self.method} {self.uri} SIP/2.0")

    def response(self, status: int, reason: str | None = None, *, to_tag: str = "") -> Response:
        """Return the response to this request (section 8.2.6); 100 gets no tag.

        ``to_tag`` is added where the request has none yet.
        """
        headers = Headers(("Via", text) for text in self.headers.all("Via"))
        to = self.headers.get("To") or ""
        if to_tag and status > 100 and not _has_tag(to):
            to = f"{to};tag={to_tag}"
        headers.add("From", self.headers.get("From") or "")
        headers.add("To", to)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", self.headers.get("CSeq") or "")
        if status < 300:  # section 12.1.1: the way back, for whoever is to become a dialog
            for text in self.headers.all("Record-Route"):
                headers.add("Record-Route", text)
        said = REASONS.get(status, "") if reason is None else reason
        return Response(status=status, reason=said, headers=headers)


@attrs.define(kw_only=True)
class Response(_Shared):
    """A response."""

    status: int
    reason: str = ""

    @property
    def is_final(self) -> bool:
        return self.status >= 200

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def to_bytes(self) -> bytes:
        return self._bytes(f"SIP/2.0 {self.status} {_one_line(self.reason)}")


Message = Request | Response


def told(response: Response | None) -> tuple[int, str]:
    """Return status and reason; of no response at all those of section 8.1.3.1."""
    return (408, "Request Timeout") if response is None else (response.status, response.reason)


def _canonical(name: str) -> str:
    """Return the usual spelling of a header's name."""
    lower = name.lower()
    if lower in COMPACT:
        return COMPACT[lower]
    return WRITTEN.get(lower) or "-".join(part.capitalize() for part in lower.split("-"))


def parse_message(data: bytes) -> Message:
    """Read the one message of a datagram. Raises BadMessage.

    What follows a body of the stated length is left out, as section 18.3 has it.
    """
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        raise BadMessage("the headers do not end")
    return _message(head, body)


class StreamReader:
    """Cuts the bytes of TCP, TLS or a WebSocket into messages by their Content-Length.

    ``feed`` yields messages; a BadMessage that could be cut out is yielded too, because the
    stream goes on behind it. It raises BadMessage when it is lost: then the connection is to be
    closed (section 18.3).
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0
        self._newlines = 0
        self.keepalives = 0
        """Pings (a double CRLF, RFC 5626) that want a CRLF for an answer."""

    def feed(self, data: bytes) -> Iterator[Message | BadMessage]:
        """Take bytes; yield what they complete."""
        self._data += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Message | BadMessage | None:
        self._skip_blank()
        end = self._data.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self._data)
        if end < 0:
            if len(self._data) > MOST_HEAD_BYTES:
                raise BadMessage("the headers of a message do not end", 513)
            return None
        head = bytes(self._data[:end])
        length = _stated_length(head)
        if len(self._data) < end + 4 + length:
            self._searched = end
            return None
        body = bytes(self._data[end + 4 : end + 4 + length])
        del self._data[: end + 4 + length]
        self._searched = 0
        try:
            return _message(head, body)
        except BadMessage as error:
            return error

    def _skip_blank(self) -> None:
        if not self._data.startswith((b"\r", b"\n")):
            self._newlines = 0 if self._data else self._newlines
            return
        blank = len(self._data) - len(self._data.lstrip(b"\r\n"))
        if blank:
            self._newlines += self._data.count(b"\n", 0, blank)
            self.keepalives += self._newlines // 2
            self._newlines %= 2
            del self._data[:blank]
            self._searched = 0
        if self._data:
            self._newlines = 0


def _stated_length(head: bytes) -> int:
    """Return the Content-Length; on a stream there is no other way to find the next message."""
    stated = re.findall(
        rb"(?:^|\r\n)(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", head, re.IGNORECASE
    )
    if len(stated) != 1 or not stated[0].strip().isdigit() or len(stated[0].strip()) > 9:
        raise BadMessage("a message on a stream needs one Content-Length")
    if int(stated[0]) > MOST_BODY_BYTES:
        raise BadMessage(f"a body of {int(stated[0])} bytes is too large", 513)
    return int(stated[0])


def _message(head: bytes, body: bytes) -> Message:
    if len(head) > MOST_HEAD_BYTES:
        raise BadMessage("the headers are too long", 513)
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    if len(lines) > 4 * MOST_HEADERS:
        raise BadMessage("there are too many headers", 513)
    headers, problem = _headers(lines)
    if _RESPONSE.match(first):
        return _response(first, headers, body, problem)
    return _request(first, headers, body, problem)


def _headers(lines: list[str]) -> tuple[Headers, str]:
    """Return the headers, and what is wrong with the first bad one."""
    unfolded: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and unfolded:
            unfolded[-1].append(line.strip(" \t"))
        else:
            unfolded.append([line])
    found: list[tuple[str, str]] = []
    problem = "" if len(unfolded) <= MOST_HEADERS else "there are too many headers"
    for parts in unfolded[:MOST_HEADERS]:
        line = " ".join(parts)
        split = _HEADER.fullmatch(line)
        if split is None:
            problem = problem or f"this is no header: {line[:80]!r}"
        else:
            found.append((split[1], split[2].rstrip(" \t")))
    return Headers(found), problem


def _response(first: str, headers: Headers, body: bytes, problem: str) -> Response:
    line = _STATUS_LINE.fullmatch(first)
    if line is None:
        raise BadMessage(f"this is no status line: {first[:80]!r}")
    response = Response(status=int(line[1]), reason=line[2], headers=headers, body=body)
    problem = problem or _wrong_with(response)
    if problem:
        raise BadMessage(problem)
    return response


def _request(first: str, headers: Headers, body: bytes, problem: str) -> Request:
    line = _REQUEST_LINE.fullmatch(first)
    method, target, version = (line[1], line[2], line[3].upper()) if line else ("", "", "")
    request = Request(method=method or "INVALID", uri=Uri(host="invalid"), headers=headers)
    status = 400
    if line is None:
        problem = f"this is no request line: {first[:80]!r}"
    elif version != "SIP/2.0":
        problem, status = f"{version} is not spoken here", 505
    else:
        try:
            request.uri = parse_uri(target)
            problem = problem or ("a Request-URI has no headers" if request.uri.headers else "")
        except RemoteProtocolError as error:
            problem = problem or str(error)
    request.body = body
    problem = problem or _wrong_with(request)
    if not problem and request.cseq.method != method:
        problem = f"the CSeq is of {request.cseq.method}, the request is {method}"
    if problem:
        raise BadMessage(problem, status, request if _can_be_answered(request) else None)
    return request


def _wrong_with(message: Message) -> str:
    """Return what makes a message useless, or nothing; cuts its body to the stated length."""
    headers = message.headers
    for name in ONCE:
        if len(headers.all(name)) > 1:
            return f"there is more than one {_canonical(name)}"
    if not message.call_id:
        return "there is no Call-ID"
    try:
        _ = message.vias, message.from_, message.to, message.cseq
        if not headers.all("Via"):
            return "there is no Via"
        for text in headers.elements("Contact"):
            if text != "*":
                parse_address(text)
        for name in ("Route", "Record-Route"):
            for text in headers.elements(name):
                parse_address(text)
    except RemoteProtocolError as error:
        return str(error)
    date = headers.get("Date")
    if date is not None and not _DATE.fullmatch(date):
        return f"a Date is in GMT, as in RFC 1123: {date[:40]!r}"
    length = headers.get("Content-Length")
    if length is None:
        return ""
    if not _LENGTH.fullmatch(length) or int(length) > len(message.body):
        return f"the Content-Length is {length[:20]}, the body has {len(message.body)} bytes"
    message.body = message.body[: int(length)]
    return ""


def _can_be_answered(request: Request) -> bool:
    """Return whether a response would find its way, and whoever gets it would know what for."""
    if request.method == "ACK" or not request.call_id:
        return False
    try:
        if not request.vias:
            return False
    except RemoteProtocolError:
        return False
    return all(request.headers.get(name) is not None for name in ("From", "To", "CSeq"))


def _has_tag(to: str) -> bool:
    try:
        return bool(parse_address(to).tag)
    except RemoteProtocolError:  # it goes back to who wrote it, as it came
        return False


def _one_line(text: str) -> str:
    """Return a header's text without anything that would begin another line."""
    return re.sub(r"[\r\n\x00]+", " ", text)
