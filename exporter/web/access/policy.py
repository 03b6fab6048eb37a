"""The web configuration and the files that it names → the policy for connections and requests, or ConfigError."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter import secret_files
from exporter.errors import ConfigError, ConfigProblem, reason_of, shown
from exporter.web.access import basic_auth
from exporter.web.access.parser import parse
from exporter.web.access.settings import Pem, WebSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from OpenSSL import SSL

    from exporter.secret_files import PermissionWarning
    from exporter.web.access.tls import PemFiles

# The public certificate authorities together take a quarter of a megabyte.
_LARGEST_FILE: Final = 4 * 1024 * 1024


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
    settings = read_settings(path)
    return make_policy(path, settings, read_pem_files(path, settings))


def permission_warnings(path: Path) -> Iterator[PermissionWarning]:
    """Yield a warning for each of these files that too many users may read or change. Raises ConfigError."""
    settings = read_settings(path)
    tls = settings.tls
    yield from secret_files.permission_warnings(path, is_secret=bool(settings.users or (tls and tls.key.text)))
    if tls:
        for file in tls.files():
            yield from secret_files.permission_warnings(file, is_secret=file == tls.key.file)


def read_settings(path: Path) -> WebSettings:
    """Read the web configuration. Raises ConfigError."""
    try:
        text = secret_files.read_secret(path, most=_LARGEST_FILE).decode()
    except UnicodeDecodeError:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", "cannot be read: it is not UTF-8 text")) from None
    except OSError as error:
        raise ConfigError(ConfigProblem(str(path), 0, 0, "", f"cannot be read: {reason_of(error)}")) from None
    return parse(text, file=str(path), folder=path.parent)


def read_pem_files(path: Path, settings: WebSettings) -> PemFiles | None:
    """Read the PEM data of the configuration at `path`, None without TLS. Raises ConfigError."""
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


def make_policy(path: Path, settings: WebSettings, pem_files: PemFiles | None) -> WebPolicy:
    """Make the policy of the configuration at `path`. Raises ConfigError."""
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
