"""``api:`` in routing.yaml: who may start and see sessions over HTTP.

::

    api:
      tokens:
        crm: {secret: CRM_TOKEN, rules: [remind]}    # starts and sees sessions of this rule alone
        operator: {secret: API_TOKEN}                # everything

Without the section the secret ``API_TOKEN`` lets its bearer do everything.
"""

from __future__ import annotations

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
