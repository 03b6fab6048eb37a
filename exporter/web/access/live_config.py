"""The live web configuration: checked for changes at every connection and request; an invalid one changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from typing import TYPE_CHECKING, Final

import structlog

from exporter import secret_files
from exporter.errors import ConfigError, ConfigProblem, reason_of
from exporter.single_flight import SharedRun
from exporter.threads import DaemonThread, in_time
from exporter.web.access.policy import make_policy, read_pem_files, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from exporter.secret_files import FileState
    from exporter.web.access.policy import WebPolicy
    from exporter.web.access.settings import WebSettings

# A file that changed so recently may change again with the same modification time.
_RECENT_SECONDS: Final = 2.0
# Reading from a network file system may block for ever; requests wait no longer than this.
_READ_TIMEOUT_SECONDS: Final = 1.0
# Reading fails with these although the file has not changed: it is read again.
_TEMPORARY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ETIMEDOUT})

_log = structlog.get_logger()


class LiveWebConfig:
    """The current web policy. `now` is in seconds since 1970, to compare with the times of files."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        """Read the web configuration. Raises ConfigError."""
        self._path = path
        self._now = now
        self._files: frozenset[Path] = frozenset({path})
        self._seen: dict[Path, FileState | None] = {}
        self._refused = ""
        settings = read_settings(path)
        self._watch(settings)
        try:
            self._seen = in_time(self._states, path)
        except OSError as error:
            raise ConfigError(ConfigProblem(str(path), 0, 0, "", f"cannot be read: {reason_of(error)}")) from None
        self._policy = make_policy(path, settings, read_pem_files(path, settings))
        self._shared_check = SharedRun(self._check_in_thread)
        # A daemon thread does not block the end of the program if a file can never be read.
        self._thread = DaemonThread("web-config")
        self._checking: asyncio.Future[None] | None = None
        self._hangs = False

    @property
    def has_tls(self) -> bool:
        """Whether connections use TLS; does not change until a restart."""
        return self._policy.context is not None

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.has_tls else "http"

    async def policy(self) -> WebPolicy:
        """Return the policy of the current files; concurrent callers share a check that began after all their calls.

        If the files cannot be read in time, the policy stays and is replaced when they are read.
        """
        await self._shared_check()
        return self._policy

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown()

    async def _check_in_thread(self) -> None:
        if self._checking is None or self._checking.done():
            self._checking = asyncio.wrap_future(self._thread.submit(self._check))
            done, _ = await asyncio.wait({self._checking}, timeout=_READ_TIMEOUT_SECONDS)
            if not done and not self._hangs:
                _log.warning(
                    "web configuration does not respond",
                    file=str(self._path),
                    error=f"cannot check it or the files that it names within {_READ_TIMEOUT_SECONDS:g} s",
                    advice="The previous configuration stays in use. Check whether its file system responds.",
                )
            self._hangs = not done

    def _check(self) -> None:
        seen = self._states()
        if seen == self._seen and not self._changed_recently(seen.values()):
            return
        try:
            settings = read_settings(self._path)
            self._watch(settings, self._policy.settings)
            pem_files = read_pem_files(self._path, settings)
            changed = not self._policy.is_made_of(settings, pem_files)
            self._reject_downgrade(settings)
            if changed:
                self._policy = make_policy(self._path, settings, pem_files)
        except ConfigError as error:
            # It is suppressed in tracebacks, not removed.
            if isinstance(error.__context__, OSError) and error.__context__.errno in _TEMPORARY:
                seen = {}
            if str(error) != self._refused:
                self._refused = str(error)
                _log.error(
                    "web configuration rejected",
                    file=str(self._path),
                    error="; ".join(str(problem) for problem in error.problems),
                    advice="The previous configuration stays in use. Fix the file: it is read again automatically.",
                )
        else:
            if changed or self._refused:
                _log.info("web configuration read again", file=str(self._path), changed=changed)
            self._refused = ""
        self._seen = seen

    def _reject_downgrade(self, settings: WebSettings) -> None:
        """Reject settings that demand less of clients or switch TLS. Raises ConfigError.

        A file that is rewritten in place is empty or incomplete for a moment, which must not disable access control.
        """
        old = self._policy.settings
        problems = []
        if (settings.tls is None) != (old.tls is None):
            problems.append(
                ConfigProblem(str(self._path), 0, 0, "tls_server_config", "can be added or removed only by a restart")
            )
        if dropped := old.demands - settings.demands:
            message = (
                "passwords and client certificates can be dropped only by a restart;"
                f" clients would no longer need {' and '.join(sorted(dropped))}"
            )
            problems.append(ConfigProblem(str(self._path), 0, 0, "", message))
        if problems:
            raise ConfigError(*problems)

    def _watch(self, *all_settings: WebSettings) -> None:
        named = {file for settings in all_settings if settings.tls for file in settings.tls.files()}
        self._files = frozenset({self._path, *named})

    def _states(self) -> dict[Path, FileState | None]:
        return {file: _state(file) for file in self._files}

    def _changed_recently(self, seen: Iterable[FileState | None]) -> bool:
        now = self._now()
        return any(each is not None and abs(now - each[0] / 1e9) < _RECENT_SECONDS for each in seen)


def _state(file: Path) -> FileState | None:
    with contextlib.suppress(OSError, ValueError):
        return secret_files.state_of(file)
    return None
