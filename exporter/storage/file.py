"""The file itself: only ours is touched, by one process at a time, and nobody else may read it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Final

from exporter.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# At a fixed place of the header (SQLite's file format, "Application ID"); the letters AVOD.
APPLICATION_ID: Final = 0x41564F44
_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_APPLICATION_ID_AT: Final = slice(68, 72)
_OWNER_ONLY: Final = 0o600
# What SQLite and we lay beside it.
_BESIDE: Final = ("-wal", "-shm", "-journal", "-lock")

_CHOOSE: Final = "Choose another --storage.path"
MOVE_AWAY: Final = "Move the file away, its -wal and -shm too, and start again: recent days are polled anew."


def refusal(path: Path, what: str, advice: str) -> StartError:
    """Why a file cannot be used and what to do, in one line."""
    return StartError(f"storage {ascii(str(path))[1:-1]}: {what}. {advice}")


def foreign(path: Path) -> StartError:
    """The file holds something, but not from us."""
    return refusal(path, "this is not a file of aliyun-vod-exporter; it was left as it is", f"{_CHOOSE}.")


def damaged(path: Path, detail: object) -> StartError:
    """The file is ours, but not as we wrote it."""
    return refusal(path, f"the file is damaged ({ascii(str(detail))[1:-1]})", MOVE_AWAY)


def unusable(path: Path, error: Exception) -> StartError:
    """What the operating system or SQLite said when the file was opened or read, as a sentence."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_NOTADB"):
        return foreign(path)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return refusal(path, f"cannot use it: {reason}", f"{_CHOOSE}, or let the exporter's user write there.")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return refusal(path, "another program has locked it", "Stop what uses it.")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR", "SQLITE_FULL")):
        return refusal(path, f"cannot use it: {error}", "Look at its disk, its owner and its permissions.")
    return damaged(path, error)


def regular(path: Path) -> Path:
    """The file behind `path`, symbolic links followed; it need not exist. Raises StartError where it never could."""
    try:
        real = path.resolve()
        if not real.parent.is_dir():
            raise refusal(path, f"there is no directory {ascii(str(real.parent))[1:-1]}", "Create it first.")
        mode = real.stat().st_mode if real.exists() else stat.S_IFREG
    except (ValueError, RuntimeError):  # a NUL in the path; symbolic links in a circle
        raise refusal(path, "this is no usable path", f"{_CHOOSE}.") from None
    except OSError as error:
        raise unusable(path, error) from None
    if stat.S_ISDIR(mode):
        raise refusal(path, "this is a directory", f"Name a file in it: --storage.path={path / 'state.db'}.")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", f"{_CHOOSE}.")
    return real


@contextlib.contextmanager
def claimed(path: Path) -> Generator[Path]:
    """Give the real path of a file that is ours, or empty, and nobody else's while the context is entered.

    Raises StartError for everything else, with the file as it was.
    """
    real = regular(path)
    with contextlib.ExitStack() as held:
        try:
            _check_place(path, real)
            held.enter_context(_locked(f"{real}-lock"))
            header = _header(real)
        except BlockingIOError:
            advice = f"Stop the other exporter, or give each its own file. {_CHOOSE}."
            raise refusal(path, "another exporter uses it", advice) from None
        except OSError as error:
            raise unusable(path, error) from None
        if header and not _ours(header):
            raise foreign(path)
        yield real


def _check_place(path: Path, real: Path) -> None:
    """Refuse what another user has laid into a directory like /tmp: SQLite would take all of it for ours.

    By its sticky bit files there are their owners', as the kernel has it for links (protected_symlinks), which does not
    see ours. Without that bit everyone may replace a file at any time, and volumes of containers are often so.
    Raises StartError, OSError.
    """
    for file in (path, real, *(real.with_name(f"{real.name}{suffix}") for suffix in _BESIDE)):
        with contextlib.suppress(FileNotFoundError):
            owner, folder = file.lstat().st_uid, file.parent.stat()
            is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
            if is_shared and owner not in {os.geteuid(), folder.st_uid}:
                what = f"everyone may put files there, and {ascii(file.name)[1:-1]} belongs to another user"
                raise refusal(path, what, f"Remove that file. {_CHOOSE}, in a directory of its own.")


def _header(real: Path) -> bytes:
    """The first bytes of a file; created where there is none. SQLite gives its side files the mode of the file."""
    # Read without SQLite, which might complete another program's interrupted transaction.
    file = os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNER_ONLY)
    try:
        return os.read(file, _HEADER_BYTES)
    finally:
        os.close(file)


def _ours(header: bytes) -> bool:
    return header.startswith(_MAGIC) and header[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4, "big")


@contextlib.contextmanager
def _locked(name: str) -> Generator[None]:
    """Hold a lock that the operating system takes back when the process dies. Raises BlockingIOError when taken.

    It is on a file of its own: closing any descriptor of the database would drop SQLite's own locks on it.
    """
    while True:
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNER_ONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                # Whoever held it before us may have removed it between our two calls; then it keeps nobody out.
                if os.path.samestat(os.fstat(file), os.stat(name)):  # noqa: PTH116 - a name beside a descriptor
                    break
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    try:
        yield
    finally:
        if not os.fstat(file).st_size:  # somebody's own file of that name is not ours to remove
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - likewise
        os.close(file)


SqliteTrouble: Final = (sqlite3.Error, OSError, ValueError, OverflowError)
"""What reading a damaged file can raise; ValueError where even SQLite's message is not UTF-8."""
