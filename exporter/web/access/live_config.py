"""The live web configuration: checked for changes at every connection and request; an invalid one changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import structlog

from exporter import secret_files
from exporter.errors import ConfigError, ConfigProblem, reason_of, shown
from exporter.single_flight import SharedRun
from exporter.threads import in_time
from exporter.web.access import basic_auth
from exporter.web.access.parser import parse
from exporter.web.access.settings import Pem, WebSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from OpenSSL import SSL

    from exporter.secret_files import FileState, PermissionWarning
    from exporter.web.access.tls import PemFiles

# A file that changed so recently may change again with the same modification time.
_RECENT_SECONDS: Final = 2.0
# Reading from a network file system may block for ever; requests wait no longer than this.
_READ_TIMEOUT_SECONDS: Final = 1.0
# The public certificate authorities together take a quarter of a megabyte.
_LARGEST_FILE: Final = 4 * 1024 * 1024

# Reading fails with these although the file has not changed: it is read again.
_TEMPORARY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ETIMEDOUT})

_log = structlog.get_logger()

_Checks = SimpleQueue[Future[None] | None]


@dataclass(frozen=True, slots=True)
class WebPolicy:
    """The settings that apply to connections and requests; `context` is the TLS context, None: no TLS."""

    settings: WebSettings = field(default_factory=WebSettings)
    context: SSL.Context | None = field(default=None, repr=False)
    _pem_files: PemFiles | None = field(default=None, repr=False)

    def is_made_of(self, settings: WebSettings, pem_files: PemFiles | None) -> bool:
        """Return whether these settings and PEM data would produce the same policy."""
        return (self.settings, self._pem_files) == (settings, pem_files)


def load(path: Path) -> WebPolicy:
    """Read the web configuration and the files it refers to. Raises ConfigError."""
    settings = _settings(path)
    return _policy(path, settings, _pem_files(path, settings))


def permission_warnings(path: Path) -> Iterator[PermissionWarning]:
    """Yield a warning for each of these files that too many users may read or change. Raises ConfigError."""
    settings = _settings(path)
    tls = settings.tls
    yield from secret_files.permission_warnings(path, is_secret=bool(settings.users or (tls and tls.key.text)))
    if tls:
        for file in tls.files():
            yield from secret_files.permission_warnings(file, is_secret=file == tls.key.file)


class LiveWebConfig:
    """The current web policy. `now` is in seconds since 1970, to compare with the times of files."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        """Read the web configuration. Raises ConfigError."""
        self._path = path
        self._now = now
        self._files: frozenset[Path] = frozenset({path})
        self._seen: dict[Path, FileState | None] = {}
        self._refused = ""
        settings = _settings(path)
        self._watch(settings)
        try:
            self._seen = in_time(self._states, path)
        except OSError as error:
            raise ConfigError(ConfigProblem(str(path), 0, 0, "", f"cannot be read: {reason_of(error)}")) from None
        self._policy = _policy(path, settings, _pem_files(path, settings))
        self._shared_check = SharedRun(self._check_in_thread)
        self._checks: _Checks = SimpleQueue()
        # A daemon thread: unlike an executor's, it does not block the end of the program if a file can never be read.
        threading.Thread(target=self._work, name="web-config", daemon=True).start()
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
        self._checks.put(None)

    async def _check_in_thread(self) -> None:
        if self._checking is None or self._checking.done():
            check: Future[None] = Future()
            self._checks.put(check)
            self._checking = asyncio.wrap_future(check)
            done, _ = await asyncio.wait({self._checking}, timeout=_READ_TIMEOUT_SECONDS)
            if not done and not self._hangs:
                _log.warning(
                    "web configuration does not respond",
                    file=str(self._path),
                    error=f"cannot check it or the files that it names within {_READ_TIMEOUT_SECONDS:g} s",
                    advice="The previous configuration stays in use. Check whether its file system responds.",
                )
            self._hangs = not done

    def _work(self) -> None:
        while (check := self._checks.get()) is not None:
            try:
                self._check()
            except BaseException as error:  # noqa: BLE001 - the event loop logs it, and later checks must still run
                check.set_exception(error)
            else:
                check.set_result(None)

    def _check(self) -> None:
        seen = self._states()
        if seen == self._seen and not self._changed_recently(seen.values()):
            return
        try:
            settings = _settings(self._path)
            self._watch(settings, self._policy.settings)
            pem_files = _pem_files(self._path, settings)
            changed = not self._policy.is_made_of(settings, pem_files)
            self._reject_downgrade(settings)
            if changed:
                self._policy = _policy(self._path, settings, pem_files)
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


def _settings(path: Path) -> WebSettings:
    try:
        text = secret_files.read_secret(path, most=_LARGEST_FILE).decode()
    except UnicodeDecodeError:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", "cannot be read: it is not UTF-8 text")) from None
    except OSError as error:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", f"cannot be read: {reason_of(error)}")) from None
    return parse(text, file=str(path), folder=path.parent)


def _pem_files(path: Path, settings: WebSettings) -> PemFiles | None:
    if settings.tls is None:
        return None
    from exporter.web.access.tls import PemFiles  # noqa: PLC0415 - OpenSSL takes 0.1 s to load, which only TLS needs

    client_ca = settings.tls.client_ca
    return PemFiles(
        _bytes(path, settings.tls.cert),
        _bytes(path, settings.tls.key),
        _bytes(path, client_ca) if client_ca else None,
    )


def _bytes(path: Path, pem: Pem) -> bytes:
    if pem.file is None:
        return (pem.text or "").encode()
    try:
        return secret_files.read_secret(pem.file, most=_LARGEST_FILE)
    except OSError as error:
        message = f"{shown(pem.file)} cannot be read: {reason_of(error)}"
        raise ConfigError(ConfigProblem(str(path), pem.line, pem.column, pem.setting, message)) from None


def _policy(path: Path, settings: WebSettings, pem_files: PemFiles | None) -> WebPolicy:
    if settings.users:
        basic_auth.load()
    if settings.tls is None or pem_files is None:
        return WebPolicy(settings)
    from exporter.web.access import tls  # noqa: PLC0415 - as above

    try:
        return WebPolicy(settings, tls.context(settings.tls, pem_files), pem_files)
    except tls.BadPem as error:
        by_name = {"cert": settings.tls.cert, "key": settings.tls.key, "client_ca": settings.tls.client_ca}
        pem = by_name.get(error.setting) or Pem(f"tls_server_config.{error.setting}")
        message = f"{pem.file} {error.message}" if pem.file else error.message
        raise ConfigError(ConfigProblem(str(path), pem.line, pem.column, pem.setting, message)) from None
