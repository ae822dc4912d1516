"""What arguments of calls may be, and what is said of those that may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from voxpy.engine.events import Namespace
from voxpy.errors import LimitExceeded, ScenarioError, nearest

Headers = Mapping[str, str | float]

# VoxEngine: limits of sendMessage and sendInfo.
MESSAGE_BYTES = 8192

_HEADER_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")  # a SIP token: RFC 3261 section 25.1
_BEYOND_X = frozenset({"vi-calltimeout"})  # the one platform header that scenarios may set


class DTMFType(metaclass=Namespace):
    """Which digits ``handle_tones`` reports (VoxEngine: DTMFType)."""

    ALL = "ALL"
    IN_BAND = "IN_BAND"
    SIP_INFO = "SIP_INFO"
    TELEPHONE_EVENT = "TELEPHONE_EVENT"


def bounded_text(what: str, value: Any, limit_bytes: int) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{what} must be a string, not {type(value).__name__} ({value!r})")
    size_bytes = len(value.encode("utf-8", "surrogatepass"))
    if size_bytes > limit_bytes:
        start = value if len(value) <= 40 else value[:40] + "..."
        raise LimitExceeded(f"{what} {start!r} is {size_bytes} bytes; at most {limit_bytes} fit")
    return value


def reject_code(code: Any) -> int:
    if isinstance(code, int) and not isinstance(code, bool) and 300 <= code <= 699:
        return code
    raise ScenarioError(f"reject needs a SIP status from 300 to 699, not {code!r}")


def checked_digits(digits: Any) -> str:
    if isinstance(digits, str) and digits and set(digits) <= set("0123456789*#p"):
        return digits
    raise ScenarioError(f"send_digits takes 0-9, *, # and p (a pause), not {digits!r}")


def is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def checked_dtmf_type(dtmf_type: Any) -> str:
    known = DTMFType.members().values()
    if dtmf_type in known:
        return str(dtmf_type)
    raise ScenarioError(
        f"{dtmf_type!r} is not a DTMFType ({', '.join(known)}){nearest(str(dtmf_type), known)}"
    )


def check_headers(headers: Headers | None) -> dict[str, str]:
    """Return ``headers`` as a new dict, empty for None.

    Names start with ``X-`` (in any case) or are ``VI-CallTimeout``; values are strings on one line,
    because a line break would smuggle in a header of its own. Numbers become text and truth true or
    false, as in VoxEngine. Raises ScenarioError otherwise.
    """
    given: dict[Any, Any] = dict(headers or {})  # scenarios are not always type checked
    for name, value in given.items():
        if isinstance(value, bool):
            given[name] = value = str(value).lower()
        elif isinstance(value, int | float):
            given[name] = value = str(value)
        if not isinstance(name, str) or not isinstance(value, str):
            raise ScenarioError(f"header {name!r}: {value!r}: names and values must be strings")
        folded = name.lower()
        custom = folded.startswith("x-") and _HEADER_NAME.fullmatch(name) is not None
        if not custom and folded not in _BEYOND_X:
            raise ScenarioError(
                f"header {name!r} cannot be set: custom headers start with 'X-' "
                "(or are 'VI-CallTimeout')"
            )
        if not value.isprintable():
            raise ScenarioError(f"header {name!r}: {value!r} has a line break or control character")
    return given
