"""Text of others' making, made harmless to print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxpy.text.plain import plain


def test_controls_become_their_escapes() -> None:
    assert plain("a\x1b[31m\x9b\u202eb\n\ud800") == "a\\x1b[31m\\x9b\\u202eb\\n\\ud800"
    assert plain("one\ntwo", keep="\n") == "one\ntwo"


def test_what_people_write_stays() -> None:
    for text in ("Grüße, 你好", "👩‍👧", "a\u00a0b", "نص", "e\u0301"):
        assert plain(text) == text


@given(st.text())
def test_the_result_is_printable_and_made_plain_once(text: str) -> None:
    found = plain(text)
    assert plain(found) == found
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in found)
    found.encode()
