"""The web configuration in force: looked at anew for every connection and request; a broken one changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import structlog

from exporter import secret_files
from exporter.errors import ConfigError, ConfigProblem
from exporter.web.access.parser import parse
from exporter.web.access.settings import Pem, WebSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from OpenSSL import SSL

    from exporter.secret_files import PermissionWarning
    from exporter.web.access.tls import PemFiles

# A file changed so lately may change again without its time showing it.
_LATELY_SECONDS: Final = 2.0
# Files on a network may take for ever; a scrape does not wait for them.
_PATIENCE_SECONDS: Final = 1.0
# All certificates of the world take a quarter of a megabyte.
_LARGEST_FILE: Final = 4 * 1024 * 1024

_log = structlog.get_logger()

_Signature = tuple[int, int, int, int]
_Looks = SimpleQueue[Future[None] | None]


@dataclass(frozen=True, slots=True)
class WebPolicy:
    """What a connection and a request are held to; `context` is what TLS begins with, None: no TLS."""

    settings: WebSettings = field(default_factory=WebSettings)
    context: SSL.Context | None = field(default=None, repr=False)
    _pem_files: PemFiles | None = field(default=None, repr=False)

    def is_made_of(self, settings: WebSettings, material: PemFiles | None) -> bool:
        """Whether these would come of it again."""
        return (self.settings, self._pem_files) == (settings, material)


def load(path: Path) -> WebPolicy:
    """Read the file and all it names. Raises ConfigError."""
    settings = _settings(path)
    return _policy(path, settings, _pem_files(path, settings))


def permission_warnings(path: Path) -> Iterator[PermissionWarning]:
    """Who may read or change the file and those it names, as far as that is too many people. Raises ConfigError."""
    settings = _settings(path)
    tls = settings.tls
    yield from secret_files.permission_warnings(path, is_secret=bool(settings.users or (tls and tls.key.text)))
    if tls:
        for file in tls.files():
            yield from secret_files.permission_warnings(file, is_secret=file == tls.key.file)


class LiveWebConfig:
    """The rules in force. `now` is seconds since 1970, to compare with the times of files."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        """Read it for the first time. Raises ConfigError."""
        self._path = path
        self._now = now
        self._files: frozenset[Path] = frozenset({path})
        self._seen: dict[Path, _Signature | None] = {}
        self._refused = ""
        settings = _settings(path)
        self._watch(settings)
        self._seen = self._signatures()
        self._policy = _policy(path, settings, _pem_files(path, settings))
        self._arrived = 0
        self._looked = 0
        self._turn = asyncio.Lock()
        self._looks: _Looks = SimpleQueue()
        # A daemon: a file that can never be read must not keep the program from ending, as an executor's thread would.
        threading.Thread(target=self._work, name="web-config", daemon=True).start()
        self._looking: asyncio.Future[None] | None = None

    @property
    def has_tls(self) -> bool:
        """Whether connections speak TLS; that stays so until a restart."""
        return self._policy.context is not None

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.has_tls else "http"

    async def rules(self) -> WebPolicy:
        """Give the rules as the files have them now; who asks together shares a look that began after all had asked."""
        self._arrived += 1
        mine = self._arrived
        async with self._turn:
            if self._looked < mine and (self._looking is None or self._looking.done()):
                self._looked = self._arrived
                look: Future[None] = Future()
                self._looks.put(look)
                self._looking = asyncio.wrap_future(look)
                await asyncio.wait({self._looking}, timeout=_PATIENCE_SECONDS)
        return self._policy

    def close(self) -> None:
        """Let the thread go."""
        self._looks.put(None)

    def _work(self) -> None:
        while (look := self._looks.get()) is not None:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - told by the event loop, and the next look is due all the same
                look.set_exception(error)
            else:
                look.set_result(None)

    def _look(self) -> None:
        seen = self._signatures()
        if seen == self._seen and not self._is_late(seen.values()):
            return
        try:
            settings = _settings(self._path)
            self._watch(settings, self._policy.settings)
            material = _pem_files(self._path, settings)
            changed = not self._policy.is_made_of(settings, material)
            self._reject_downgrade(settings)
            if changed:
                self._policy = _policy(self._path, settings, material)
        except ConfigError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                _log.error(
                    "web configuration rejected",
                    file=str(self._path),
                    error="; ".join(str(problem) for problem in error.problems),
                    advice="What was in force stays in force. Mend the file: it is read again by itself.",
                )
        else:
            if changed or self._refused:
                _log.info("web configuration read again", file=str(self._path), changed=changed)
            self._refused = ""
        self._seen = seen

    def _reject_downgrade(self, settings: WebSettings) -> None:
        """Files rewritten in place are empty, then half there: neither opens the door. Raises ConfigError."""
        old = self._policy.settings
        problems = []
        if (settings.tls is None) != (old.tls is None):
            problems.append(
                ConfigProblem(str(self._path), 0, 0, "tls_server_config", "can come and go only with a restart")
            )
        if given_up := old.demands - settings.demands:
            message = (
                "passwords and client certificates can go only with a restart;"
                f" clients would no longer need {' and '.join(sorted(given_up))}"
            )
            problems.append(ConfigProblem(str(self._path), 0, 0, "", message))
        if problems:
            raise ConfigError(*problems)

    def _watch(self, *all_settings: WebSettings) -> None:
        named = {file for settings in all_settings if settings.tls for file in settings.tls.files()}
        self._files = frozenset({self._path, *named})

    def _signatures(self) -> dict[Path, _Signature | None]:
        return {file: _signature(file) for file in self._files}

    def _is_late(self, seen: Iterable[_Signature | None]) -> bool:
        now = self._now()
        return any(each is not None and abs(now - each[0] / 1e9) < _LATELY_SECONDS for each in seen)


def _signature(file: Path) -> _Signature | None:
    with contextlib.suppress(OSError, ValueError):
        found = file.stat()
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
    return None


def _settings(path: Path) -> WebSettings:
    try:
        text = secret_files.read_secret(path, most=_LARGEST_FILE).decode()
    except UnicodeDecodeError:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", "cannot be read: it is not UTF-8 text")) from None
    except OSError as error:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", f"cannot be read: {error.strerror}")) from None
    return parse(text, file=str(path), folder=path.parent)


def _pem_files(path: Path, settings: WebSettings) -> PemFiles | None:
    if settings.tls is None:
        return None
    from exporter.web.access.tls import PemFiles  # noqa: PLC0415 - OpenSSL takes 0.1 s to load: only who wants it pays

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
        message = f"{secret_files.shown(pem.file)} cannot be read: {error.strerror}"
        raise ConfigError(ConfigProblem(str(path), pem.line, pem.column, pem.setting, message)) from None


def _policy(path: Path, settings: WebSettings, material: PemFiles | None) -> WebPolicy:
    if settings.tls is None or material is None:
        return WebPolicy(settings)
    from exporter.web.access import tls  # noqa: PLC0415 - as above

    try:
        return WebPolicy(settings, tls.context(settings.tls, material), material)
    except tls.BadPem as error:
        by_name = {"cert": settings.tls.cert, "key": settings.tls.key, "client_ca": settings.tls.client_ca}
        pem = by_name.get(error.setting) or Pem(f"tls_server_config.{error.setting}")
        message = f"{pem.file} {error.message}" if pem.file else error.message
        raise ConfigError(ConfigProblem(str(path), pem.line, pem.column, pem.setting, message)) from None
