from __future__ import annotations

import base64
import html
import json
import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vod.redaction import Secrets, redacted
from tests.steps import steps

if TYPE_CHECKING:
    from collections.abc import Callable

MILLISECONDS = 1_000_000
"""`steps` that take a tenth of a second at most."""

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a URL, slashes kept": quote,
    "in a form": quote_plus,
    "in a URL, lower case": lambda secret: quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "in a URL, twice": lambda secret: quote(quote(secret, safe="~"), safe="~"),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON, not ASCII": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "in JSON, slashes escaped": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "in HTML": html.escape,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64 of URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "in hexadecimal": lambda secret: secret.encode().hex(),
    "in base32": lambda secret: base64.b32encode(secret.encode()).decode(),
    "in hexadecimal, separated": lambda secret: secret.encode().hex(":"),
    "in HTML, decimal": lambda secret: re.sub("[^A-Za-z0-9]", lambda found: f"&#{ord(found[0])};", secret),
    "in HTML, hexadecimal": lambda secret: re.sub("[^A-Za-z0-9]", lambda found: f"&#x{ord(found[0]):X};", secret),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=6), other=st.text("abc/+", min_size=6))
def test_a_secret_is_hidden_in_every_encoding(encoding: str, secret: str, other: str) -> None:
    secrets = Secrets()
    secrets.add(other, secret)
    encoded_row = ENCODINGS[encoding](secret)
    message_text = redacted(f"<{encoded_row}>", secrets)
    assert encoded_row not in message_text or encoded_row in "<***>"


REAL = "Tk/1+aB9~z=Q_hunterX22YvWq0Zlm"
TOKEN = "CAIS" + "aB3/+x9Kq" * 60 + "Zq"


@pytest.mark.parametrize("secret", [REAL, TOKEN], ids=["secret", "token"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda secret: "".join(f"%{ord(letter):02x}" for letter in secret),
        lambda secret: "".join(f"\\x{ord(letter):02X}" for letter in secret),
        lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
        lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
        lambda secret: quote(quote(quote(secret, safe=""), safe=""), safe=""),
        lambda secret: html.escape(json.dumps(quote(secret, safe=""))[1:-1]),
        lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""),
        lambda secret: base64.encodebytes(secret.encode()).decode().strip(),
        lambda secret: secret.encode().hex(" "),
        lambda secret: "\r\n ".join(re.findall(".{1,19}", secret)),
        "\u200b".join,
        lambda secret: secret[:9] + "\x00" + secret[9:],
        lambda secret: secret[:-1],
        lambda secret: secret[: len(secret) // 2],
        lambda secret: quote(secret, safe="")[: len(secret) // 2],
        lambda secret: json.dumps(base64.encodebytes(secret.encode()).decode().strip())[1:-1],
        lambda secret: secret[3:],
        lambda secret: secret[len(secret) // 2 :],
        lambda secret: quote(secret, safe="")[-len(secret) // 2 :].removeprefix("2F"),
        lambda secret: re.sub("[^A-Za-z0-9]", lambda found: f"%u{ord(found[0]):04x}", secret),
        lambda secret: re.sub("[^A-Za-z0-9]", lambda found: f"\\\\u{ord(found[0]):04x}", secret),
        lambda secret: secret.encode().hex("-").upper(),
        lambda secret: base64.b64encode(base64.b64encode(secret.encode())).decode().rstrip("="),
        lambda secret: base64.b64encode(quote(secret, safe="").encode()).decode(),
        lambda secret: quote(quote(base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="), safe=""), safe=""),
    ],
    ids=[
        *("each letter in a URL", "each letter in hexadecimal", "each letter in JSON", "each letter in HTML"),
        *("in a URL, three times", "in a URL in JSON in HTML", "base64 in a URL", "base64 in lines"),
        *("hexadecimal with blanks", "in lines", "invisible letters", "a control character"),
        *("without its last letter", "half of it", "half of it in a URL"),
        *(
            "base64 in lines in JSON",
            "without its first letters",
            "its second half",
            "its second half in a URL",
            "escape() of JavaScript",
        ),
        *("in JSON in JSON", "hexadecimal of .NET", "base64 twice", "a URL in base64", "base64 of URLs in a URL"),
    ],
)
def test_a_secret_is_hidden_however_it_is_escaped_broken_or_cut_off(secret: str, spell: Callable[[str], str]) -> None:
    assert redacted(f"before <{spell(secret)}> after", [secret]) == "before <***> after"


def test_the_tokens_of_days_are_hidden_in_milliseconds() -> None:
    """An account with a role has two new ones every hour, and any error may repeat them."""
    secrets = Secrets()
    tokens = ["CAISgwJ1q6Ft5B2y" + f"{number:04}" * 150 for number in range(512)]
    secrets.add(*tokens)
    redacted("first", secrets)
    secrets.add("CAISgwJ1q6Ft5B2y-renewed" + "x" * 600)
    shown, taken = steps(lambda: redacted(f"expired: {tokens[-1]}, {tokens[-2][:80]}", secrets))
    assert shown == "expired: ***, ***"
    assert taken < MILLISECONDS


@pytest.mark.parametrize("length", [6, 16, 400])
def test_a_text_of_many_beginnings_of_tokens_takes_milliseconds(length: int) -> None:
    """All tokens of a service begin alike."""
    tokens = ["CAISgwJ1q6Ft5B2y" + f"{number:04}" * 150 for number in range(512)]
    redacted("first", tokens)
    shown, taken = steps(lambda: redacted("".join(token[:length] for token in tokens), tokens))
    assert length == 6 or re.fullmatch(r"\*+", shown)
    assert taken < MILLISECONDS


@pytest.mark.parametrize("before", ["", "u", "us", "user"])
def test_a_secret_in_json_in_base64_is_hidden(before: str) -> None:
    """PHP escapes slashes; the padding of base64 is left out in URLs and tokens."""
    document = json.dumps({before: REAL}).replace("/", "\\/")
    encoded = base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")
    shown = redacted(f"token eyJhbGciOiJIUzI1NiJ9.{encoded}.c2lnbmF0dXJl", [REAL])
    assert "***" in shown
    left = base64.urlsafe_b64decode(shown.partition(".")[2].partition("***")[0][:-2] + "====").decode()
    assert len(set(left.partition('": "')[2])) <= 3


def test_a_text_of_any_length_takes_milliseconds() -> None:
    shown, taken = steps(lambda: redacted("%25" * 100_000 + "CAIS%2", [TOKEN]))
    assert len(shown) < 10_000
    assert taken < MILLISECONDS


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "\n", ":more"])
def test_a_secret_within_base64_of_more_is_hidden(before: str, after: str) -> None:
    secret = "hunter2-hunter2-hunter2-hunter2"
    encoded = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    shown = redacted(f"Proxy-Authorization: Basic {encoded}", [secret])
    assert "***" in shown
    left = max(re.sub(r"[^A-Za-z0-9+/]", " ", shown.partition("Basic ")[2]).split(), key=len, default="")
    assert len(left) <= 10


@pytest.mark.parametrize("innermost", [partial(quote, safe=""), quote, quote_plus])
def test_a_secret_is_hidden_in_a_url_within_four_others(innermost: Callable[[str], str]) -> None:
    nested = innermost(REAL)
    for _ in range(4):
        nested = quote(nested, safe="")
    assert redacted(f"<{nested}>", [REAL]) == "<***>"


@pytest.mark.parametrize("secret", ["abcde6", "abcde67", "abcde678"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.b32encode])
def test_a_short_secret_is_hidden_in_base64_without_padding(secret: str, encode: Callable[[bytes], bytes]) -> None:
    assert redacted(f"<{encode(secret.encode()).decode().rstrip('=')}>", [secret]) == "<***>"


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("before", ["user", "users", "userid"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_base64_that_is_cut_off_before_it_is_hidden(
    encode: Callable[[bytes], bytes], before: str, cut: int
) -> None:
    encoded = encode(f"{before}:{REAL}".encode()).decode()[cut:]
    whole = -(-len(f"{before}:") * 8 // 6) - cut  # characters that depend on what is before the secret
    assert redacted(f"<{encoded}>", [REAL]).startswith(f"<{encoded[:whole]}***")


@pytest.mark.parametrize("before", [":", "u:", "us:"])
@pytest.mark.parametrize("after", ["", "\n", ":more"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_base64_that_is_cut_off_within_it_is_hidden(
    encode: Callable[[bytes], bytes], before: str, after: str
) -> None:
    encoded = encode(f"{before}{REAL}{after}".encode()).decode()
    within = range(len(before) * 4 // 3 + 1, len(f"{before}{REAL}") * 4 // 3 - 12)
    assert len(within) > 20
    for cut in within:
        shown = redacted(f"<{encoded[cut:]}>", [REAL])
        assert shown.startswith("<***"), shown
        assert len(shown) <= len("<***>Q==") + len(after) * 2


def test_what_surrounds_a_secret_stays() -> None:
    secrets = Secrets()
    secrets.add("CAIS+token/with=signs", None, "", "short")
    assert redacted("before CAIS%2Btoken%2fwith%3Dsigns, short after", secrets) == "before ***, short after"
    assert list(secrets) == ["CAIS+token/with=signs", "short"]


def test_a_secret_that_is_escaped_from_its_second_letter_on_is_hidden_from_its_first() -> None:
    assert redacted(REAL[0] + "".join(f"%{ord(letter):02x}" for letter in REAL[1:]), [REAL]) == "***"


def test_a_letter_that_has_two_in_lower_case_hides_nothing_else() -> None:
    letter = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"
    assert redacted(f"{letter}{REAL}{letter}!", [REAL]) == f"{letter}***{letter}!"
    assert redacted(f"<{letter}bcdefgh>", [f"{letter}bcdefgh"]) == "<***>"


def test_a_secret_that_is_no_valid_utf_8_is_hidden() -> None:
    """As Python reads such an environment variable."""
    secret = b"caf\xe9-and-more-letters".decode("utf-8", "surrogateescape")
    assert redacted(f"{secret}, caf%E9-and-more-letters", [secret]) == "***, ***"


def test_a_secret_that_begins_another_leaves_nothing_of_it() -> None:
    assert redacted("secret-and-more", ["secret", "secret-and-more"]) == "***"


@pytest.mark.parametrize(
    ("part", "shown"),
    [(REAL[:12], "***"), (REAL[:11], REAL[:11]), (REAL[-12:], "***"), (REAL[-11:], REAL[-11:])],
)
def test_a_part_of_a_secret_is_hidden_from_12_characters_on(part: str, shown: str) -> None:
    assert redacted(f"<{part}>", [REAL]) == f"<{shown}>"
    assert redacted(part, [REAL]) == shown


@pytest.mark.parametrize("secret", ["abcde6", "abcde678901", "abcde6789012"])
def test_a_short_secret_is_hidden_as_a_whole(secret: str) -> None:
    assert redacted(f"{secret}, {secret}{secret}", [secret]) == "***, ******"
    assert redacted(secret[:-1], [secret]) == secret[:-1]
    assert redacted(secret[1:], [secret]) == secret[1:]


def test_a_text_is_cut_to_4096_characters() -> None:
    assert redacted("ab" * 2_049, []) == redacted("ab" * 2_049, ["a secret"]) == "ab" * 2_048


def test_nothing_is_hidden_where_there_are_no_secrets() -> None:
    assert redacted("as it is", []) == "as it is"


def test_the_secrets_of_long_ago_are_forgotten_and_those_in_use_are_not() -> None:
    secrets = Secrets()
    for number in range(2_000):
        secrets.add("in-use", f"token-{number}")
    assert "in-use" in secrets
    assert "token-1999" in secrets
    assert "token-0" not in secrets
    assert len(secrets) == 512

    secrets = Secrets()
    secrets.add("in-use", *(f"token-{number}" for number in range(511)))
    secrets.add("in-use", "another")
    assert list(secrets) == [*(f"token-{number}" for number in range(1, 511)), "in-use", "another"]
