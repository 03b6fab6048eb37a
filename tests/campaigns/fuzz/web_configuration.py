"""A web configuration file: settings, or every problem with its line."""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.errors import ConfigError
from exporter.web.access.policy import load
from tests.campaigns.fuzz.message_rules import check_no_secrets, check_refusal
from tests.campaigns.fuzz.secret_positions import ANY, is_only_below
from tests.campaigns.fuzz.target import SEEDS, Target
from tests.web.harness import TESTDATA

if TYPE_CHECKING:
    from collections.abc import Generator

    from exporter.web.access.settings import WebSettings
    from tests.campaigns.fuzz.target import Try

SECRET: Final = "hunter2"
# User names are not secret, their hashes are.
_SECRET_PLACES: Final = (("basic_auth_users", ANY), ("tls_server_config", "key"))
# Go's durations are nanoseconds in 64 bits.
_LONGEST_SECONDS: Final = 2**63 / 1e9


def try_one(fuzz_input: bytes, path: Path) -> None:
    """Try a file with that content at `path`."""
    path.write_bytes(fuzz_input)
    text = fuzz_input.decode("utf-8", "replace")
    secrets = [SECRET] if is_only_below(text, SECRET, *_SECRET_PLACES) else []
    try:
        settings = load(path).settings
    except ConfigError as error:
        check_refusal(error, lines=len(text.splitlines()), secrets=secrets)
        return
    check_no_secrets(secrets, repr(settings))
    check_accepted(settings)


def check_accepted(settings: WebSettings) -> None:
    """Accepted settings can be used to serve."""
    for value in settings.headers.values():
        value.encode("ascii")
    for name, hashed in settings.users.items():
        assert ":" not in name
        assert len(hashed) == 60
    if settings.rate_limit is not None:
        assert 0 < settings.rate_limit.interval <= _LONGEST_SECONDS, settings.rate_limit
        assert math.ceil(settings.rate_limit.interval) >= 1
        assert settings.rate_limit.burst >= 1


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "web.yml"
        yield lambda fuzz_input: try_one(fuzz_input, path)


TARGET: Final = Target(
    "web-configuration",
    "a web configuration file",
    [(TESTDATA, "*.yml"), (SEEDS / "web_configuration", "*.yml")],
    _opened,
    words=(
        b"tls_server_config:",
        b"http_server_config:",
        b"basic_auth_users:",
        b"rate_limit:",
        b"cert_file:",
        b"key_file:",
        b"key:",
        b"client_ca:",
        b"client_auth_type:",
        b"client_allowed_sans:",
        b"min_version:",
        b"TLS13",
        b"cipher_suites:",
        b"curve_preferences:",
        b"headers:",
        b"X-Frame-Options:",
        b"interval:",
        b"burst:",
        b"$2y$10$",
        b"<<: *a",
        b"&a",
        b"*a",
        b"!!binary",
        b"---\n",
        b"? ",
        b"|\n",
        b"1e999",
        b"9999999999999999999h",
        b"\xff",
        b'"\\UFFFFFFFF"',
        b'"\\ud800"',
        SECRET.encode(),
    ),
)
