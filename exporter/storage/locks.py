"""One process at a time: locks on the name of a file and on the file itself, given back when the process dies."""

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

# One byte that SQLite, which locks bytes from 1 GiB on, leaves alone, beyond the end of any file.
_LOCKED_BYTE: Final = 1 << 62


@contextlib.contextmanager
def name_locked(name: str, mode: int) -> Generator[None]:
    """Hold a lock that the operating system takes back when the process dies. Raises BlockingIOError when taken.

    It is on a file of its own: closing any descriptor of the database would drop SQLite's own locks on it.
    """
    while True:
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
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


@contextlib.contextmanager
def file_locked(real: Path, mode: int) -> Generator[int]:
    """Lock the file itself, by whatever name it was opened, created where there is none; give its descriptor.

    A hard link and a bind mount have other names and another lock file beside them. The descriptor stays open for as
    long as SQLite uses the file: closing it would drop SQLite's own locks. Raises BlockingIOError when taken, OSError.
    """
    # SQLite gives its side files the mode of the file.
    file = os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        _lock_inode(file)
        yield file
    finally:
        os.close(file)


def _lock_inode(file: int) -> None:
    """Lock a byte that SQLite does not use: what locks all of a file, as flock does on NFS, would keep SQLite out."""
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0)
    try:
        # Unlike a lock of the process, one of the open file is not lost when another descriptor is closed.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kernels and sandboxes that do not know the other
