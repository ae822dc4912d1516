"""What stands inside SIP headers: URIs, addresses, Via and CSeq (RFC 3261 sections 19.1, 20, 25).

Every reader here goes over its text once. The grammar invites patterns that try again from every
quote; a header of 250 bytes stops a parser for seconds that way. So nothing here searches for an
end that need not be there: a quoted string is matched where it begins, and lists are cut by one
walk that knows whether it is inside quotes or angle brackets.

Readers raise RemoteProtocolError with the text that is wrong. Values are kept as they were written
(escapes too), because what is sent on has to be what came; ``Uri.user_text`` is the one for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import attrs

from voxpy.errors import RemoteProtocolError

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"  # noqa: S105  the grammar's word
_TOKEN = re.compile(TOKEN)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+")
_PORT = re.compile(r"[0-9]{1,5}")
_NOT_IN_URI = re.compile(r'[\x00-\x20\x7f<>"]')
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%:#]*")
_PARAM_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:/&$@?]+|[^\x00-\x20\x7f-\x9f\";,<>=]+")
_DISPLAY = re.compile(rf"[ \t{TOKEN[1:-2]}]*")  # one class: alternatives would be tried for years
_VIA = re.compile(
    rf"\s*({TOKEN})\s*/\s*({TOKEN})\s*/\s*({TOKEN})\s+({_HOST.pattern})\s*(?::\s*([0-9]{{1,5}}))?\s*"
)
_CSEQ = re.compile(r"([0-9]{1,10})[ \t]+(\S+)")
_SEPARATOR = re.compile(r'["<>,]')

Params = dict[str, str | None]
"""Parameters by lower-case name, in their order; None for one that has no value."""

MOST_CSEQ = 2**31 - 1
"""RFC 3261 section 8.1.1.5: below 2**31."""


@attrs.frozen(kw_only=True)
class Uri:
    """A URI. One that is neither ``sip:`` nor ``sips:`` is its scheme and ``opaque``, the rest.

    ``user`` and ``headers`` are as written, with their escapes; ``port`` is None where none stands.
    """

    scheme: str = "sip"
    user: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = attrs.field(factory=dict)
    headers: str = ""
    opaque: str = ""

    @property
    def is_sip(self) -> bool:
        return self.scheme in ("sip", "sips")

    @property
    def user_text(self) -> str:
        """The user part without escapes and password: what a person would call it."""
        return unquote((self.user or "").partition(":")[0], errors="replace")

    @property
    def transport(self) -> str:
        """The transport that the URI asks for, in lower case; an empty string for none."""
        return (self.params.get("transport") or "").lower()

    def header(self, name: str) -> str:
        """Return a header that the URI carries for the request to it, empty if there is none."""
        for line in self.headers.split("&"):
            found, _, text = line.partition("=")
            if found.lower() == name.lower():
                return unquote(text, errors="replace")
        return ""

    def __str__(self) -> str:
        if not self.is_sip:
            return f"{self.scheme}:{self.opaque}"
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{_written(self.params)}{headers}"


@attrs.frozen(kw_only=True)
class Address:
    """A name-addr or addr-spec with its parameters: From, To, Contact, Route, Refer-To, ..."""

    uri: Uri
    display_name: str = ""
    params: Params = attrs.field(factory=dict)

    @property
    def tag(self) -> str:
        return self.params.get("tag") or ""

    def with_tag(self, tag: str) -> Address:
        """Return the same address with this tag."""
        return attrs.evolve(self, params={**self.params, "tag": tag})

    def __str__(self) -> str:
        name = f"{quoted(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{_written(self.params)}"


@attrs.frozen(kw_only=True)
class Via:
    """One hop of a request's way. ``transport`` is in upper case."""

    transport: str
    host: str
    port: int | None = None
    params: Params = attrs.field(factory=dict)

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    @property
    def sent_by(self) -> str:
        return self.host.lower() if self.port is None else f"{self.host.lower()}:{self.port}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{_written(self.params)}"


@attrs.frozen
class CSeq:
    """The number of a request within its dialog, and its method."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def quoted(text: str) -> str:
    """Return a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def split_list(text: str) -> Iterator[str]:
    """Yield what stands between the commas of a header, not those in quotes or angle brackets.

    Raises RemoteProtocolError for quotes or brackets that do not close, and for an empty element.
    """
    at = began = 0
    inside = False
    while (found := _SEPARATOR.search(text, at)) is not None:
        sign, at = found[0], found.end()
        if sign == '"':
            at = _quoted_at(text, found.start()).end()
        elif sign == "<":
            inside = True
        elif sign == ">":
            inside = False
        elif not inside:
            yield _element(text[began : found.start()], text)
            began = at
    if inside:
        raise _wrong("an angle bracket does not close", text)
    yield _element(text[began:], text)


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme."""
    if _NOT_IN_URI.search(text):
        raise _wrong("a URI has no spaces, quotes or angle brackets", text)
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme) or not rest:
        raise _wrong("this is no URI", text)
    scheme = scheme.lower()
    if scheme not in ("sip", "sips"):
        return Uri(scheme=scheme, opaque=rest)
    user: str | None = None
    if "@" in rest:
        user, _, rest = rest.partition("@")
        if not user or not _USER.fullmatch(user):
            raise _wrong("the user part of a URI is wrong", text)
    host = _HOST.match(rest)
    if host is None:
        raise _wrong("a SIP URI has no host", text)
    port, end = _port(rest, host.end(), text)
    tail, _, headers = rest[end:].partition("?")
    return Uri(
        scheme=scheme,
        user=user,
        host=host[0],
        port=port,
        params=parse_params(tail),
        headers=headers,
    )


def parse_address(text: str) -> Address:
    """Read an address with or without angle brackets, and the parameters behind it."""
    text = text.strip()
    if text.startswith('"'):
        name = _quoted_at(text, 0)
        display = re.sub(r"\\(.)", r"\1", name[1], flags=re.DOTALL)
        rest = text[name.end() :].lstrip()
        if not rest.startswith("<"):
            raise _wrong("a display name stands before no <URI>", text)
    else:
        before, bracket, _ = text.partition("<")
        if not bracket:
            return _bare_address(text)
        if not _DISPLAY.fullmatch(before):
            raise _wrong("a display name of other than words has to be in quotes", text)
        display, rest = before.strip(), text[len(before) :]
    uri, bracket, params = rest[1:].partition(">")
    if not bracket:
        raise _wrong("an angle bracket does not close", text)
    return Address(uri=parse_uri(uri), display_name=display, params=parse_params(params))


def _bare_address(text: str) -> Address:
    """Read an addr-spec: what follows its first semicolon belongs to the header, not to the URI."""
    uri, semicolon, params = text.partition(";")
    if "?" in uri or "," in uri:
        raise _wrong("a URI with ? or , stands in angle brackets", text)
    return Address(uri=parse_uri(uri.rstrip()), params=parse_params(semicolon + params))


def parse_params(text: str) -> Params:
    """Read ``;name`` and ``;name=value`` up to the end. The first of a name counts."""
    params: Params = {}
    at, end = 0, len(text)
    while at < end:
        if text[at] in " \t":
            at += 1
            continue
        if text[at] != ";":
            raise _wrong("parameters are parted by semicolons", text)
        name = _TOKEN.match(text, _skip(text, at + 1))
        if name is None:
            raise _wrong("a parameter has no name", text)
        at = _skip(text, name.end())
        value: str | None = None
        if at < end and text[at] == "=":
            at = _skip(text, at + 1)
            found = (
                _quoted_at(text, at) if text[at : at + 1] == '"' else _PARAM_VALUE.match(text, at)
            )
            if found is None:
                raise _wrong(f"parameter {name[0]!r} has no value", text)
            value, at = found[0], _skip(text, found.end())
        params.setdefault(name[0].lower(), value)
    return params


def parse_via(text: str) -> Via:
    """Read one hop. ``parse_via`` of a whole header is done after ``split_list``."""
    found = _VIA.match(text)
    if found is None:
        raise _wrong("this is no Via", text)
    port = None if found[5] is None else int(found[5])
    if found[1].upper() != "SIP" or (port is not None and port > 65535):
        raise _wrong("this is no Via of SIP", text)
    params = parse_params(text[found.end() :])
    return Via(transport=found[3].upper(), host=found[4], port=port, params=params)


def parse_cseq(text: str) -> CSeq:
    """Read a CSeq."""
    found = _CSEQ.fullmatch(text.strip())
    if found is None or int(found[1]) > MOST_CSEQ:
        raise _wrong("a CSeq is a number below 2**31 and a method", text)
    return CSeq(int(found[1]), found[2])


def _port(text: str, at: int, whole: str) -> tuple[int | None, int]:
    if text[at : at + 1] != ":":
        if text[at : at + 1] not in ("", ";", "?"):
            raise _wrong("the host of a URI is wrong", whole)
        return None, at
    found = _PORT.match(text, at + 1)
    if found is None or int(found[0]) > 65535 or text[found.end() : found.end() + 1].isdigit():
        raise _wrong("the port of a URI is wrong", whole)
    if text[found.end() : found.end() + 1] not in ("", ";", "?"):
        raise _wrong("the port of a URI is wrong", whole)
    return int(found[0]), found.end()


def _quoted_at(text: str, at: int) -> re.Match[str]:
    found = _QUOTED.match(text, at)
    if found is None:
        raise _wrong("a quote does not close", text)
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _element(text: str, whole: str) -> str:
    found = text.strip()
    if not found:
        raise _wrong("a list has an empty element", whole)
    return found


def _written(params: Params) -> str:
    return "".join(f";{n}" if v is None else f";{n}={v}" for n, v in params.items())


def _wrong(what: str, text: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{what}: {text[:80]!r}")
