"""Files that hold secrets: read without waiting and without end, refused where everyone may write to them.

Symbolic links are followed: Kubernetes mounts secrets as links. Who may read a file, and who may put another in its
place, is doubted and not refused: a monitor that does not run warns of nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nor does a terminal that somebody names become ours.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SHORTEST_SECRET: Final = 8
# `days_ago`, `maxRetries`, `QUERIES`, `query_2`: words in any of the ways in which names are written.
_OF_WORDS: Final = re.compile(r"(?:(?:[a-z_-]|[A-Z](?=[a-z_-]|$))+|[A-Z_-]+)(?:(?<=[_-])[0-9]{1,3})?")
_IN_KUBERNETES: Final = "in Kubernetes, mount it with defaultMode: 0440"


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds; `world_writable`: everyone may write to it."""

    data: bytes = field(repr=False)
    world_writable: bool


@dataclass(frozen=True, slots=True)
class PermissionWarning:
    """A file that more people may read or change than should, and what to do about it; each a sentence."""

    path: Path
    what: str
    advice: str

    def __str__(self) -> str:
        """Both, with the file in front."""
        return f"{shown(self.path)}: {self.what}. {self.advice}"


def read(path: Path, *, most: int) -> Content:
    """A regular file of at most `most` bytes. Raises OSError, whose `strerror` says what is wrong."""
    try:
        # To open a pipe could take for ever, and to open a device may do something.
        _check(path, path.stat())
        file = os.open(path, _FLAGS)
    except ValueError:
        raise OSError(errno.EINVAL, "it is not a usable path", shown(path)) from None
    with os.fdopen(file, "rb") as opened:
        # Whatever was looked at above, this is what is read.
        status = os.fstat(file)
        _check(path, status)
        data = opened.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", shown(path))
    return Content(data, bool(status.st_mode & stat.S_IWOTH) and not _is_mounted_read_only(path))


def read_secret(path: Path, *, most: int) -> bytes:
    """As `read`, for what nobody else may have written. Raises OSError."""
    content = read(path, most=most)
    if content.world_writable:
        raise OSError(errno.EPERM, "everyone may write to it, and so anyone may have; run chmod 600 on it", shown(path))
    return content.data


def permission_warnings(path: Path, *, is_secret: bool = True, is_used: bool = False) -> Iterator[PermissionWarning]:
    """Yield a warning for each permission on a file that is too wide.

    None for a file that does not exist, or is on a read-only mount of its own or of its directory, as in Kubernetes:
    access is then decided elsewhere, and the modes mean little. `is_secret`: it must not be readable by others either.
    `is_used`: it is used even if everyone may write to it.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if _is_mounted_read_only(path):
            return
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            writers, until_then = (
                ("everyone", "; until then it is not used") if mode & stat.S_IWOTH else ("its group", "")
            )
            advice = f"Run chmod go-w on it{'' if is_used else until_then}."
            yield PermissionWarning(path, f"{writers} may write to it (mode {mode:04o})", advice)
        if is_secret and mode & stat.S_IROTH:
            what = f"it holds a secret, and everyone may read it (mode {mode:04o})"
            yield PermissionWarning(
                path, what, f"Run chmod 600 on it, or 640 for the exporter's group; {_IN_KUBERNETES}."
            )
        for directory in dict.fromkeys((*path.absolute().parents, *path.resolve().parents)):
            if _is_open_to_all(directory):
                what = f"everyone may put another file in its place, because of the directory {shown(directory)}"
                yield PermissionWarning(path, what, "Run chmod o-w on that directory, or keep the file elsewhere.")


def may_be_secret(name: str) -> bool:
    """Whether the name of a setting is made like a key, a token or a password, and not of words as names are."""
    is_long = len(name) >= _SHORTEST_SECRET and name.isascii() and not any(c.isspace() for c in name)
    return is_long and not _OF_WORDS.fullmatch(name)


def shown(path: Path) -> str:
    """A path as it can be written to a terminal or a log."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", shown(path))


def _is_open_to_all(directory: Path) -> bool:
    """Whether everyone may replace what is in it; in one with the sticky bit only owners may."""
    mode = directory.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX and not _is_read_only_mount(directory)


def _is_mounted_read_only(path: Path) -> bool:
    return _is_read_only_mount(path) or _is_read_only_mount(path.parent)


def _is_read_only_mount(path: Path) -> bool:
    """A mount of its own: that all of / is read-only, as for a unit of systemd, says nothing of others."""
    with contextlib.suppress(OSError, ValueError):
        is_mount = path != Path("/") and os.path.ismount(path)
        return is_mount and bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False
