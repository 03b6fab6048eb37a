"""A configuration file and the environment it is read in: a Config, or every problem with its line."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.config.loader import load
from exporter.core import plan
from exporter.core.play_dates import OLDEST_DAYS_AGO
from exporter.errors import ConfigError
from tests.campaigns.fuzz.message_rules import check_no_secrets, check_refusal
from tests.campaigns.fuzz.secret_positions import is_only_below
from tests.campaigns.fuzz.target import SEEDS, Target
from tests.config.corpus import ENVIRON, TESTDATA

if TYPE_CHECKING:
    from collections.abc import Generator

    from exporter.config.schema import Config
    from tests.campaigns.fuzz.target import Try

# As in the seeds; a value of a variable is as secret as one of the file.
SECRET: Final = "hunter2"
IN_VARIABLE: Final = "c4naryOfTheEnvironment"
_ENVIRON: Final = {**ENVIRON, "KEY": IN_VARIABLE, "TOKEN": IN_VARIABLE}
# Errors below the first never quote the value, and errors below the others never quote a secret.
_CREDENTIALS: Final = ("accounts", "credentials")
_SECRET_SETTINGS: Final = tuple((*_CREDENTIALS, name) for name in ("access_key_secret", "security_token"))
_NOW: Final = 1_700_000_000.0
# A product of lists may be large; `check-config` warns of its cost.
_MOST_COUNTED: Final = 1_000


def try_one(fuzz_input: bytes, path: Path) -> None:
    """Try a file with that content at `path`."""
    path.write_bytes(fuzz_input)
    try:
        config = load(path, _ENVIRON)
    except ConfigError as error:
        text = fuzz_input.decode("utf-8", "replace")
        check_refusal(error, lines=len(text.splitlines()), secrets=_in_place(text, _CREDENTIALS))
        return
    check_accepted(config, fuzz_input.decode("utf-8"))


def check_accepted(config: Config, text: str) -> None:
    """An accepted configuration can be polled, and its repr shows no secret."""
    queries = config.core_queries()
    accounts = {account.name for account in config.accounts}
    assert queries
    assert len({query.name for query in queries}) == len(queries)
    for query in queries:
        assert query.account in accounts
        assert query.every > 0
        assert query.dimensions
        assert query.days_ago
        assert all(0 <= ago <= OLDEST_DAYS_AGO for ago in query.days_ago)
        if len(query.dimensions) <= _MOST_COUNTED:
            assert len(plan.slices(query, _NOW)) == len(query.dimensions) * len(query.days_ago)
    check_no_secrets(_in_place(text, *_SECRET_SETTINGS), repr(config))


def _in_place(text: str, *places: tuple[str, ...]) -> list[str]:
    """The secrets in settings for secrets; only those must not be quoted."""
    secrets = [SECRET] if is_only_below(text, SECRET, *places) else []
    in_variables = all(is_only_below(text, variable, *places) for variable in ("KEY", "TOKEN"))
    return [*secrets, IN_VARIABLE] if in_variables else secrets


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        yield lambda fuzz_input: try_one(fuzz_input, path)


TARGET: Final = Target(
    "configuration",
    "a configuration file",
    [(TESTDATA, "*.yaml"), (SEEDS / "configuration", "*.yaml")],
    _opened,
    words=(
        b"accounts:",
        b"queries:",
        b"name:",
        b"credentials:",
        b"access_key_id:",
        b"access_key_secret:",
        b"security_token_file:",
        b"provider:",
        b"role_arn:",
        b"endpoint:",
        b"https://",
        b"limits:",
        b"requests_per_second:",
        b"media:",
        b"ids:",
        b"top:",
        b"dimensions:",
        b"terminal_type:",
        b"days_ago:",
        b"every:",
        b"settle:",
        b"stale_after:",
        b"storage:",
        b"${KEY}",
        b"${TOKEN}",
        b"${HUGE}",
        b"${BROKEN}",
        b"${NOT_SET:-1}",
        b"${",
        b"$$",
        b"<<: *a",
        b"&a",
        b"*a",
        b"!!",
        b"---\n",
        b"? ",
        b"|\n",
        b"1e999",
        b"0x1f",
        b"99999999999999999999d",
        b"\xff",
        b'"\\UFFFFFFFF"',
        b'"\\ud800"',
        SECRET.encode(),
    ),
)
