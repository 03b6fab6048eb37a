"""The file itself: only a file of ours is opened, by one process at a time, readable by its owner only."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import tempfile
from typing import TYPE_CHECKING, Final

from exporter.errors import StartError, shown
from exporter.storage.file_errors import CHOOSE_ANOTHER, advice_on_size, corrupt, not_ours, refusal, refused_by_system
from exporter.storage.locks import file_locked, name_locked

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

# At a fixed place of the header (SQLite's file format, "Application ID"); the letters AVOD.
APPLICATION_ID: Final = 0x41564F44
_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_APPLICATION_ID_AT: Final = slice(68, 72)
_READ_VERSION_AT: Final = 19
# The suffixes of the files that SQLite and the exporter create beside it.
_SIDE_FILES: Final = ("-wal", "-shm", "-journal", "-lock")

# The size of a new -wal and -shm.
_SIDE_FILE_BYTES: Final = 128 * 1024


def unusable(path: Path, error: Exception) -> StartError:
    """An error of the operating system or SQLite as the file was opened or read, as a sentence with advice."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_NOTADB"):
        return not_ours(path)
    if isinstance(error, OSError):
        return refused_by_system(path, error.errno, error.strerror or "the system refuses it")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return refusal(path, "another program has locked it", "Stop what uses it.")
    if code.startswith("SQLITE_FULL"):
        return refused_by_system(path, errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")):
        advice = advice_on_size(code) or "Check its disk, its owner and its permissions."
        return _obstacle(path) or refusal(path, f"cannot use it: SQLite fails with {code}", advice)
    return corrupt(path, error)


def _obstacle(path: Path) -> StartError | None:
    """Why SQLite cannot open its files, which it does not report: check each, and try to write beside them."""
    try:
        real = path.resolve()
        _try_to_write(real.parent)
        _check_regular(path, real)
        for file in _files(real):
            if file.exists() and not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
                what = f"{shown(file.name)} may not be read and written"
                return refusal(path, what, "Give it to the exporter's user.")
    except StartError as error:
        return error
    except OSError as error:
        return unusable(path, error)
    return None


def side_file(real: Path, suffix: str) -> Path:
    """The file beside another, such as its `-wal`; it need not exist."""
    return real.with_name(f"{real.name}{suffix}")


def _files(real: Path) -> Iterator[Path]:
    """The file and those beside it; they need not exist."""
    yield real
    yield from (side_file(real, suffix) for suffix in _SIDE_FILES)


def _check_regular(path: Path, real: Path) -> None:
    """Refuse directories, pipes and the like in place of the file or of one beside it. Raises StartError, OSError."""
    for file in _files(real):
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(file.stat().st_mode):
                raise refusal(path, f"{shown(file.name)} is not a regular file", "Move that away.")


def _try_to_write(folder: Path) -> None:
    """Write to an unnamed temporary file there. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
        probe.write(bytes(_SIDE_FILE_BYTES))


def regular(path: Path) -> Path:
    """The real path of the file, which need not exist. Raises StartError where it could not be a regular file."""
    try:
        real = path.resolve()
        if not real.parent.is_dir():
            raise refusal(path, f"there is no directory {shown(real.parent)}", "Create it first.")
        mode = real.stat().st_mode if real.exists() else stat.S_IFREG
    except (ValueError, RuntimeError):  # a NUL in the path; symbolic links in a circle
        raise refusal(path, "this is not a usable path", f"{CHOOSE_ANOTHER}.") from None
    except OSError as error:
        raise unusable(path, error) from None
    if stat.S_ISDIR(mode):
        raise refusal(path, "this is a directory", f"Name a file in it: --storage.path={path / 'state.db'}.")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", f"{CHOOSE_ANOTHER}.")
    return real


@contextlib.contextmanager
def locked(path: Path) -> Generator[Path]:
    """Lock a file that is ours or empty while the context is entered; yields its real path.

    Raises StartError for any other file, without changing it.
    """
    real = regular(path)
    with contextlib.ExitStack() as locks:
        try:
            _check_place(path, real)
            _check_regular(path, real)
            locks.enter_context(name_locked(side_file(real, "-lock")))
            header = os.pread(locks.enter_context(file_locked(real)), _HEADER_BYTES, 0)
        except BlockingIOError:
            advice = f"Stop the other exporter, or give each its own file. {CHOOSE_ANOTHER}."
            raise refusal(path, "another exporter uses it", advice) from None
        except OSError as error:
            raise unusable(path, error) from None
        if header and not _is_ours(header):
            raise not_ours(path)
        _check_other_names(path, real)
        yield real


def checked_path(path: Path) -> Path | None:
    """The real path of a file that is ours; None where it is missing or empty, and could be created.

    Takes no lock and changes nothing. Raises StartError for the same reasons as `locked`, except a lock.
    """
    real = regular(path)
    try:
        _check_place(path, real)
        header = _header(real)
        if not header:
            _try_to_write(real.parent)
            if real.exists() and not os.access(real, os.R_OK | os.W_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            _check_regular(path, real)
            return None
    except OSError as error:
        raise unusable(path, error) from None
    if not _is_ours(header):
        raise not_ours(path)
    _check_other_names(path, real)
    return real


def is_copy(path: Path, real: Path) -> bool:
    """Whether neither the file nor its directory is writable: a copy that can only be read.

    Raises StartError where only one of the two is writable, or where the disk is full.
    """
    try:
        _try_to_write(real.parent)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} and not os.access(real, os.W_OK, effective_ids=True):
            return True
        raise unusable(path, error) from None
    if not os.access(real, os.W_OK, effective_ids=True):
        raise refusal(path, "it may be read but not written", "Give it to the exporter's user.")
    return False


def may_write(folder: Path) -> bool:
    """Whether files can be created in a directory."""
    return os.access(folder, os.W_OK, effective_ids=True)


def _check_place(path: Path, real: Path) -> None:
    """Refuse files of other users in a shared directory like /tmp: SQLite would use them as its own.

    In a directory with the sticky bit files belong to their owners; the kernel protects links there in the same way
    (protected_symlinks), but not these files. Without the bit everyone may replace files at any time anyway, as in many
    container volumes. Raises StartError, OSError.
    """
    for file in (path, *_files(real)):
        with contextlib.suppress(FileNotFoundError):
            owner, folder = file.lstat().st_uid, file.parent.stat()
            is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
            if is_shared and owner not in {os.geteuid(), folder.st_uid}:
                what = f"everyone may put files there, and {shown(file.name)} belongs to another user"
                raise refusal(path, what, f"Remove that file. {CHOOSE_ANOTHER}, in a directory of its own.")


def _check_other_names(path: Path, real: Path) -> None:
    """Refuse a file that was used by another name in its directory and not closed: its last data is in the other -wal.

    Writing to it by this name would make that -wal inconsistent, which SQLite does not notice. Raises StartError.
    """
    if real.stat().st_nlink == 1:
        return
    for other in real.parent.iterdir():
        wal = side_file(other, "-wal")
        if other != real and not other.is_symlink() and other.samefile(real) and wal.exists() and wal.stat().st_size:
            what = f"it was last used as {shown(other)}, a hard link, and what was written last is in {shown(wal)}"
            raise refusal(path, what, f"Use one name only: --storage.path={shown(other)}, and remove the other.")


def _header(real: Path) -> bytes:
    """The first bytes of a file; empty where it does not exist. Raises OSError."""
    try:
        file = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    try:
        return os.read(file, _HEADER_BYTES)
    finally:
        os.close(file)


def has_our_header(real: Path) -> bool:
    """Whether the file itself, without its -wal, is ours. Raises OSError."""
    return _is_ours(_header(real))


def is_in_wal_mode(real: Path) -> bool:
    """Whether changes of the file go to a -wal, so that it has no -journal. Raises OSError."""
    return _header(real)[_READ_VERSION_AT : _READ_VERSION_AT + 1] == b"\2"


def _is_ours(header: bytes) -> bool:
    return header.startswith(_MAGIC) and header[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4, "big")


SQLITE_ERRORS: Final = (sqlite3.Error, OSError, ValueError, OverflowError)
"""Exceptions that reading a corrupt file can raise; ValueError where SQLite's message is not UTF-8."""
