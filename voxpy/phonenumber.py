"""``PhoneNumber``: what a number says about itself (VoxEngine: PhoneNumber).

By phonenumbers, the Python form of Google's libphonenumber, which VoxEngine uses too.
"""

from __future__ import annotations

import attrs

from voxpy.errors import HelpsWithNames

__all__ = ["PhoneNumber", "PhoneNumberInfo", "PhoneNumberNamespace"]


@attrs.frozen(kw_only=True)
class PhoneNumberInfo(HelpsWithNames):
    """What is known of a number (VoxEngine: PhoneNumber.Info).

    ``number`` is E.164, as far as it could be read; ``region`` a country code such as DE;
    ``number_type`` FIXED_LINE, MOBILE, FIXED_LINE_OR_MOBILE, TOLL_FREE, PREMIUM_RATE and so on;
    ``location`` a place in English where the number tells of one; ``error`` why it is none.
    """

    number: str
    region: str | None = None
    number_type: str | None = None
    location: str | None = None
    is_possible_number: bool = False
    is_valid_number: bool = False
    is_valid_number_for_region: bool = False
    error: str | None = None


class PhoneNumberNamespace(HelpsWithNames):
    """The function of the PhoneNumber namespace; made once, as ``PhoneNumber``."""

    __slots__ = ()

    def get_info(self, number: str, country: str | None = None) -> PhoneNumberInfo:
        """Return what ``number`` says about itself; ``country`` (DE) reads national numbers.

        Without a country the number is international, with or without ``+``. What is no number
        comes back with ``error`` set. VoxEngine: PhoneNumber.getInfo.
        """
        import phonenumbers  # 40 ms, for who needs it
        from phonenumbers import geocoder

        region = country.upper() if country else None
        text = str(number).strip()
        given = text if region or text.startswith("+") else f"+{text}"
        try:
            parsed = phonenumbers.parse(given, region)
        except phonenumbers.NumberParseException as error:
            return PhoneNumberInfo(number=text, error=str(error))
        kind = phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(parsed))
        return PhoneNumberInfo(
            number=phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164),
            region=phonenumbers.region_code_for_number(parsed),
            number_type=kind,
            location=geocoder.description_for_number(parsed, "en") or None,
            is_possible_number=phonenumbers.is_possible_number(parsed),
            is_valid_number=phonenumbers.is_valid_number(parsed),
            is_valid_number_for_region=(
                phonenumbers.is_valid_number_for_region(parsed, region)
                if region
                else phonenumbers.is_valid_number(parsed)
            ),
        )

    def _title(self) -> str:
        return "PhoneNumber"


PhoneNumber = PhoneNumberNamespace()
