"""Locks on the name of a file and on the file itself; the kernel releases them when the process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# A byte beyond the end of any file; SQLite locks bytes just above 1 GiB and never this one.
_LOCKED_BYTE: Final = 1 << 62
# The bytes that SQLite locks, all of them while it has the file for itself (its SHARED_FIRST and SHARED_SIZE).
_SHARED_FIRST: Final = (1 << 30) + 2
_SHARED_SIZE: Final = 510


@contextlib.contextmanager
def name_locked(name: Path) -> Generator[None]:
    """Hold a lock on a file of that name, which is removed at the end. Raises BlockingIOError where it is locked.

    It is a separate file because closing any descriptor of the database would release SQLite's locks on it.
    """
    while True:
        file = _open(name)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                # The previous owner may have removed the file between the two calls; then the lock excludes no one.
                if os.path.samestat(os.fstat(file), os.stat(name)):  # noqa: PTH116 - a name beside a descriptor
                    break
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    try:
        yield
    finally:
        # A file with content is not ours and stays, and so does another exporter's, if the directory was replaced.
        with contextlib.suppress(OSError):
            if not os.fstat(file).st_size and os.path.samestat(os.fstat(file), os.stat(name)):  # noqa: PTH116 - likewise
                os.unlink(name)  # noqa: PTH108 - likewise
        os.close(file)


@contextlib.contextmanager
def file_locked(real: Path) -> Generator[int]:
    """Lock the file itself, independent of its name; create it where there is none. Yields its descriptor.

    Hard links and bind mounts give a file other names, each with its own lock file. The descriptor stays open while
    SQLite uses the file: closing it would release SQLite's locks. Raises BlockingIOError where it is locked, OSError.
    """
    file = _open(real)
    try:
        _lock_inode(file)
        yield file
    finally:
        os.close(file)


def _open(path: Path) -> int:
    """Open a file that is no link, or create it for its owner only; SQLite gives its side files the same mode."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock_inode(file: int) -> None:
    """Lock a byte that SQLite does not use; a lock of the whole file, as flock on NFS, would block SQLite."""
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0)
    try:
        # Unlike a lock of the process, one of the open file survives the closing of another descriptor.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kernels and sandboxes without these locks


@contextlib.contextmanager
def without_checkpoint(real: Path) -> Generator[None]:
    """A context in which SQLite closes the file without moving its -wal into it: the lock it needs is not free."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # it is not there; kernels and sandboxes without these locks
            file = stack.enter_context(real.open("rb", buffering=0))
            lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield
