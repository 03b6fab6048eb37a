"""A service, or an attacker in between, that returns hostile text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.security.http_server import answering

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# The terminal's title, its colours in both spellings, right to left, markup, labels, lines, half a character.
TEXT: Final = (
    "\x1b]0;owned\x07\x1b[31m\x9b31m\u202e</td><script>alert(1)</script>&quot;"
    '"} 1\n# TYPE owned gauge\nowned 1\r\nlevel=error msg=owned\ud800\\'
)
# Must not reach a terminal, a page or a log unescaped.
CONTROLS: Final = ("\x1b", "\x07", "\x9b", "\u202e", "\r", "\ud800")


def rows(*media_ids: str) -> bytes:
    """A response with one row for each."""
    rows_of_strings = [
        {"MediaId": media_id, "VideoTitle": TEXT, "VideoDuration": 60, "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}
        for media_id in media_ids
    ]
    return json_body(
        {
            "RequestId": TEXT,
            "PageNo": 1,
            "PageSize": 100,
            "TotalCount": len(rows_of_strings),
            "QoeInfoList": rows_of_strings,
        }
    )


def refusal() -> bytes:
    """An error response whose every text is hostile."""
    return json_body({"RequestId": TEXT, "HostId": TEXT, "Code": TEXT, "Message": TEXT, "Recommend": TEXT})


def json_body(answer: dict[str, Any]) -> bytes:
    """JSON, which may also contain a lone surrogate."""
    return json.dumps(answer).encode()


def service(status: int, body: bytes) -> AbstractContextManager[str]:
    """The URL of a server on loopback that answers everything in one way."""
    return answering(lambda _request: (status, body))


def configuration(endpoint: str, media: str = "all") -> str:
    """One account and one query of it, as YAML."""
    credentials = "{access_key_id: somebody, access_key_secret: hunter2-hunter2}"
    return (
        f"accounts: [{{name: main, endpoint: '{endpoint}', credentials: {credentials}}}]\n"
        f"queries: [{{name: q, media: {media}, days_ago: 1}}]\n"
    )
