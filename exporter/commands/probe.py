"""Request each action of the API with an account's key, and print what its responses look like, for a bug report."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exporter import __version__, app, stdio
from exporter.account_credentials import credential_source
from exporter.accounts import Accounts
from exporter.commands import probe_media, probe_play_data, probe_player
from exporter.commands.loop_signals import run_interruptible
from exporter.commands.probe_requests import ProbeResponse, raw_action
from exporter.commands.request_counter import RequestCounter
from exporter.commands.response_fields import field_lines
from exporter.config.loader import load
from exporter.core.play_dates import PLAY_TIME_ZONE
from exporter.errors import CredentialsError, FlagError, UpstreamError
from exporter.plurals import counted
from exporter.safe_text import SPACES, printable
from exporter.vod.redaction import Secrets, redacted

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Callable, Mapping

    from exporter.commands.probe_requests import Finding, Requester
    from exporter.config.accounts import AccountSettings
    from exporter.vod.client import Client
    from exporter.vod.credentials.sources import CredentialSource

_OFFICIAL: Final = re.compile(r"https://([a-z0-9.-]+\.aliyuncs\.com)/?")
_WIDTH: Final = 44


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the result; exit status 1 when an action was not answered. Raises ConfigError, FlagError and StartError."""
    config = load(arguments.config_file, environ)
    account = _account(config.accounts, arguments.account)
    return run_interruptible(
        _Probe(account, app.Runtime(environ), app_id=arguments.app_id, values=arguments.values).run()
    )


def _account(accounts: tuple[AccountSettings, ...], name: str | None) -> AccountSettings:
    found = [each for each in accounts if name in (None, each.name)]
    if len(found) != 1:
        names = ", ".join(each.name for each in accounts)
        problem = f"there is no account {name!r}" if name is not None else "there are several accounts"
        raise FlagError(f"--account: {problem}; the configuration has {names}")
    return found[0]


class _Probe:
    """Requests the actions one after another, and prints each result immediately."""

    def __init__(self, account: AccountSettings, runtime: app.Runtime, *, app_id: str, values: bool) -> None:
        self._account = account
        self._runtime = runtime
        self._app_id = app_id
        self._values = values
        self._meter = RequestCounter()
        self._secrets = Secrets()
        self._unanswered: list[str] = []
        self._now = runtime.now()

    async def run(self) -> int:
        """The exit status."""
        self._print_head()
        now = self._now
        played = await self._section(
            "DescribeVodMediaPlayData", probe_play_data.first(now), partial(probe_play_data.findings, now=now)
        )
        categories = await self._section("GetCategories", probe_media.FIRST_CATEGORIES, probe_media.categories)
        found = await self._section(
            "SearchMedia", probe_media.FIRST_SEARCH, partial(probe_media.search, known=categories)
        )
        infos = probe_media.first_infos(found, played)
        await self._section(
            "GetVideoInfos",
            infos,
            partial(probe_media.infos, requested=infos),
            # The account has no media to request.
            expected_code="InvalidVideo.NotFound" if infos["VideoIds"] == probe_media.MISSING_ID else "",
        )
        await self._section(
            "DescribeVodPlayerMetricData",
            probe_player.first(self._app_id, now),
            partial(probe_player.findings, app_id=self._app_id, now=now),
        )
        unanswered = ", ".join(self._unanswered)
        self._print()
        self._print(f"{counted(self._meter.sent, 'request')} sent. Not answered: {unanswered or 'none'}.")
        return 1 if self._unanswered else 0

    def _print_head(self) -> None:
        official = _OFFICIAL.fullmatch(self._account.endpoint)
        self._print(
            f"aliyun-vod-exporter {__version__} probe at {datetime.fromtimestamp(self._now, UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
        self._line("time in UTC+8", f"{datetime.fromtimestamp(self._now, PLAY_TIME_ZONE):%H:%M}")
        self._line("endpoint", official[1] if official else "not one of Alibaba Cloud")
        shown = "shown: read the result before you publish it" if self._values else "left out"
        self._line("titles, IDs and numbers", shown)

    def _line(self, label: str, text: str) -> None:
        self._print(f"  {label:{_WIDTH}} {text}")

    def _print(self, line: str = "") -> None:
        sys.stdout.write(stdio.as_encoded(sys.stdout, printable(redacted(line, self._secrets), keep=SPACES)) + "\n")
        sys.stdout.flush()

    async def _section(
        self,
        action: str,
        first: Mapping[str, str],
        findings: Callable[[Requester, ProbeResponse], AsyncIterator[Finding]],
        *,
        expected_code: str = "",
    ) -> ProbeResponse:
        """Print what the first request shows and, if it gets a response, what further ones show.

        `expected_code`: an error code that counts as a response.
        """
        self._print()
        self._print(action)
        # A client of its own: an action that is refused does not pause the others.
        async with (
            Accounts(self._keys, meter=self._meter, now=self._runtime.now, sleep=self._runtime.sleep) as accounts,
            accounts.opened([self._account]) as opened,
        ):
            client = opened[self._account.name].client

            async def request(parameters: Mapping[str, str]) -> ProbeResponse:
                return await _request(client, action, parameters)

            response = await request(first)
            if response.error is not None:
                if response.error.code != expected_code:
                    self._unanswered.append(action)
                self._print_error(response.error)
                return response
            self._line("result", f"answered after {response.seconds:.1f} s")
            for path, types in field_lines(response.document, values=self._values, hide=self._secrets):
                self._line(f"  {path}", types)
            async for finding in findings(request, response):
                self._line(finding.label, finding.text)
        return response

    async def _keys(self, account: AccountSettings) -> CredentialSource:
        """The credentials, whose secrets no line may show, even if a response holds them."""
        source = await credential_source(
            account, self._runtime.variables, not_yet=lambda _: None, now=self._runtime.now
        )
        with suppress(CredentialsError):
            keys = await source.get()
            self._secrets.add(keys.access_key_secret, keys.security_token)
        return source

    def _print_error(self, error: UpstreamError) -> None:
        status = f" with HTTP {error.http_status}" if error.http_status else ""
        self._line("result", f"failed: {printable(error.code)}{status}, kind {error.kind.value}")
        if error.advice:
            self._line("advice", error.advice)
        if self._values:
            self._line("message", error.message)
            self._line("request ID", error.request_id or "none")


async def _request(client: Client, action: str, parameters: Mapping[str, str]) -> ProbeResponse:
    started = time.monotonic()
    document: dict[str, Any] = {}
    failure = None
    try:
        document = await client.call(raw_action(action), parameters)
    except UpstreamError as error:
        failure = error
    return ProbeResponse(document, failure, time.monotonic() - started)
