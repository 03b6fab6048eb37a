"""The files of an open database: whether another program has changed them since they were last written."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.storage.file import side_file
from exporter.storage.locks import without_checkpoint

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


_WAL_HEADER_BYTES: Final = 32
_WAL_SALTS: Final = slice(16, 24)
_WAL_FRAME_HEADER_BYTES: Final = 24
# SQLite's file format, "WAL-Index Format": at the beginning of a -shm, twice; the numbers are in native byte order.
_INDEX_HEADER: Final = struct.Struct("=14xHI12x8s8x")
_LARGEST_PAGE: Final = 65536


class FileLost(OSError):
    """The file was removed, replaced or overwritten: nothing may be written to what is there now."""


class SideFilesLost(OSError):
    """The -wal or -shm file was removed, replaced or overwritten; both are usable again."""


class _State(NamedTuple):
    """One file; the `stamp` changes with its content. None: it is not known."""

    identity: tuple[int, int]
    size: int
    stamp: int | bytes | None


_MISSING: Final = _State((0, 0), 0, b"")


class Changes(NamedTuple):
    """What another program has changed; the file itself is still there."""

    main: bool = False
    wal: bool = False
    shm: bool = False
    side_files_removed: bool = False


class OpenFiles:
    """The file, its -wal and its -shm, as SQLite has them open."""

    def __init__(self, path: Path, real: Path) -> None:
        self._path = path
        self._real = real
        self._wal, self._shm = side_file(real, "-wal"), side_file(real, "-shm")
        self._indexes: dict[tuple[int, int], int] = {}
        self.remember()

    def close(self) -> None:
        """Close what is open; called after SQLite has closed the files."""
        while self._indexes:
            os.close(self._indexes.popitem()[1])

    def remember(self) -> None:
        """Take the present files as written by SQLite; called after each transaction. Raises OSError."""
        self._known = self._states()

    def changes(self) -> Changes:
        """What has changed since then. Raises FileLost where the file was removed or replaced, OSError."""
        (main, wal, shm), (known, known_wal, known_shm) = self._states(), self._known
        if main == _MISSING:
            raise self.lost(errno.ENOENT, os.strerror(errno.ENOENT))
        if main.identity != known.identity:
            raise self.lost(errno.ESTALE, "another file has taken its place")
        is_another_wal = None not in {wal.stamp, known_wal.stamp} and wal.stamp != known_wal.stamp
        is_wal_open, is_shm_open = wal.identity == known_wal.identity, shm.identity == known_shm.identity
        return Changes(
            main != known,
            # Another process may have added to it by SQLite, or emptied it after moving its content to the file.
            is_wal_open
            and (is_another_wal or wal.size < known_wal.size)
            and not (is_shm_open and self._is_indexed(shm)),
            is_shm_open and shm.size < known_shm.size,
            not (is_wal_open and is_shm_open),
        )

    def lost(self, number: int, what: str) -> FileLost:
        """The error that nothing can be written to the file."""
        return FileLost(number, what, str(self._path))

    def discard_index(self) -> None:
        """Let SQLite read the -wal again, as far as it is valid, before it uses the -shm. Raises OSError.

        SQLite maps the -shm into memory: where it ends early the process would be killed (SIGBUS). Another descriptor
        must not be opened: closing it would release SQLite's locks.
        """
        os.truncate(self._shm, 0)
        os.truncate(self._shm, self._known[2].size)

    @contextlib.contextmanager
    def left_alone(self, *, is_lost: bool) -> Generator[None]:
        """A context to close the database in: SQLite writes nothing to the files that are there now.

        If the content was overwritten (`is_lost`), the -wal and -shm of the content before are removed afterwards.
        """
        known, *known_side_files = self._known
        with without_checkpoint(self._real):
            yield
        main, *side_files = self._states()
        if is_lost and main.identity == known.identity:
            for file, found, known_one in zip((self._wal, self._shm), side_files, known_side_files, strict=True):
                if found.identity == known_one.identity:
                    file.unlink(missing_ok=True)

    def _is_indexed(self, shm: _State) -> bool:
        """Whether the -wal holds what its index in the -shm says: then SQLite has changed both, and nothing is lost."""
        try:
            if shm.identity not in self._indexes:
                # It stays open, as closing it would release SQLite's locks.
                self._indexes[shm.identity] = os.open(self._shm, os.O_RDONLY | os.O_CLOEXEC)
            index, before, size, head = self._indexes[shm.identity], b"", 0, None
            # Another process may write both at this moment.
            while (header := os.pread(index, 2 * _INDEX_HEADER.size, 0)) != before:
                size, head, before = self._wal.stat().st_size, _head(self._wal), header
        except OSError:
            return False
        if len(header) < 2 * _INDEX_HEADER.size or header[: _INDEX_HEADER.size] != header[_INDEX_HEADER.size :]:
            return False
        page_bytes, frames, salts = _INDEX_HEADER.unpack_from(header)
        frame_bytes = _WAL_FRAME_HEADER_BYTES + (page_bytes if page_bytes > 1 else _LARGEST_PAGE)
        is_same = head is not None and head[_WAL_SALTS] == salts
        return not frames or (is_same and size >= _WAL_HEADER_BYTES + frames * frame_bytes)

    def _states(self) -> tuple[_State, _State, _State]:
        main, wal, shm = (_status(file) for file in (self._real, self._wal, self._shm))
        return (
            _State((main.st_dev, main.st_ino), main.st_size, main.st_mtime_ns) if main else _MISSING,
            _State((wal.st_dev, wal.st_ino), wal.st_size, _head(self._wal)) if wal else _MISSING,
            _State((shm.st_dev, shm.st_ino), shm.st_size, b"") if shm else _MISSING,
        )


def _status(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _head(wal: Path) -> bytes | None:
    """Its header, which SQLite writes again whenever it begins the file anew; SQLite has no locks on this file.

    None if it cannot be read now, for example because file descriptors have run out.
    """
    try:
        with wal.open("rb", buffering=0) as file:
            return file.read(_WAL_HEADER_BYTES)
    except OSError:
        return None
