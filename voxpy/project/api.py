"""``api:`` and ``callbacks:`` in routing.yaml: who may use the API, and who is told what.

::

    api:
      tokens:
        crm: {secret: CRM_TOKEN, rules: [remind]}    # starts and sees sessions of this rule alone
        operator: {secret: API_TOKEN}                # everything

    callbacks:
      crm:
        url: https://crm.example.org/calls
        secret: CRM_CALLBACKS                        # signs; see voxpy.host.api.callbacks
        events: [session_ended, recording_ready]     # all, if left out
        rules: [remind]                              # of these rules' sessions; of all

Without ``api:`` the secret ``API_TOKEN`` lets its bearer do everything.
"""

from __future__ import annotations

from typing import Literal, cast
from urllib.parse import urlsplit

import attrs

from voxpy.engine.userfile import Given

TOKEN_SECRET = "API_TOKEN"  # noqa: S105  the name of a secret


@attrs.frozen(kw_only=True)
class ApiToken:
    """Whoever bears the value of ``secret`` sees the sessions of ``rules``; None: of all."""

    name: str
    secret: str
    rules: frozenset[str] | None = None


USUAL = (ApiToken(name="api", secret=TOKEN_SECRET),)


def read_tokens(given: Given) -> tuple[ApiToken, ...]:
    """Read the section ``api:``. Raises ConfigError."""
    tokens = given.fields(("tokens",)).section("tokens").mapping()
    return tuple(_token(name, below) for name, below in tokens.items()) or USUAL


def _token(name: str, given: Given) -> ApiToken:
    fields = given.named(f"token {name!r}").fields(("secret", "rules"))
    rules = fields.get("rules", _names, None)
    return ApiToken(name=name, secret=fields.need("secret").words(), rules=rules)


def _names(given: Given) -> frozenset[str]:
    if not isinstance(given.value, list) or not given.value:
        raise given.expected("a list of rules' names")
    return frozenset(item.words() for item in given.items())


CallbackEvent = Literal["session_ended", "recording_ready"]
EVENTS: tuple[CallbackEvent, ...] = ("session_ended", "recording_ready")


@attrs.frozen(kw_only=True)
class Callback:
    """Whom to tell of sessions: ``url`` gets a POST for each of ``events``, signed by a secret."""

    name: str
    url: str
    secret: str
    events: tuple[CallbackEvent, ...] = EVENTS
    rules: frozenset[str] | None = None

    def wants(self, rule_name: str) -> bool:
        """Whether it is told of sessions of a rule."""
        return self.rules is None or rule_name in self.rules


def read_callbacks(given: Given) -> tuple[Callback, ...]:
    """Read the section ``callbacks:``. Raises ConfigError."""
    return tuple(_callback(str(name), below) for name, below in given.mapping().items())


def _callback(name: str, given: Given) -> Callback:
    fields = given.named(f"callback {name!r}").fields(("url", "secret", "events", "rules"))
    return Callback(
        name=name,
        url=_url(fields.need("url")),
        secret=fields.need("secret").words(),
        events=fields.get("events", _events, EVENTS),
        rules=fields.get("rules", _names, None),
    )


def _url(given: Given) -> str:
    url = given.words()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise given.expected("an address: https://host/path")
    return url


def _events(given: Given) -> tuple[CallbackEvent, ...]:
    return tuple(cast("CallbackEvent", item.one_of(EVENTS)) for item in given.items())
