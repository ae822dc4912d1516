"""The tone a caller hears while the other telephone rings, country by country.

Frequencies and cadences are the national ones (ITU-T E.180 Supplement 2; for Britain BT SIN 350),
as ToneScripts at the usual level of -19 dBm0; a tone of two frequencies has 3 dB less of each.
Countries whose tone is modulated are not here: the notation cannot say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_EUROPE = "425@-19;*(1/4/1)"
_NORTH_AMERICA = "440@-22,480@-22;*(2/4/1+2)"
_BRITAIN = "400@-22,450@-22;*(.4/.2/1+2,.4/2/1+2)"

RINGING: Mapping[str, str] = MappingProxyType(
    {
        "AT": "420@-19;*(1/5/1)",
        "AU": "413@-22,438@-22;*(.4/.2/1+2,.4/2/1+2)",
        "BE": "425@-19;*(1/3/1)",
        "BR": _EUROPE,
        "CA": _NORTH_AMERICA,
        "CH": _EUROPE,
        "CN": "450@-19;*(1/4/1)",
        "CZ": _EUROPE,
        "DE": _EUROPE,
        "DK": _EUROPE,
        "ES": "425@-19;*(1.5/3/1)",
        "EU": _EUROPE,
        "FI": _EUROPE,
        "FR": "440@-19;*(1.5/3.5/1)",
        "GB": _BRITAIN,
        "IE": _BRITAIN,
        "IT": _EUROPE,
        "MX": _EUROPE,
        "NL": _EUROPE,
        "NO": _EUROPE,
        "PL": _EUROPE,
        "PT": "425@-19;*(1/5/1)",
        "RU": "425@-19;*(.8/3.2/1)",
        "SE": "425@-19;*(1/5/1)",
        "TR": "450@-19;*(2/4/1)",
        "UK": _BRITAIN,
        "US": _NORTH_AMERICA,
    }
)
"""ISO 3166 codes, and EU and UK, to endless ToneScripts."""


def ringing(country: str) -> str:
    """Return the ToneScript of a country's ringing tone, in any case of letters.

    Raises ValueError naming the countries that are known.
    """
    script = RINGING.get(country.upper())
    if script is None:
        raise ValueError(f"no ringing tone for {country!r}; known are {', '.join(RINGING)}")
    return script
