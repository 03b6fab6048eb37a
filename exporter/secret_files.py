"""Read files that hold secrets: within a time limit, up to a maximum size, and only if not everyone can write to them.

Symbolic links are followed: Kubernetes mounts secrets as links. A file that too many users can read, or that can be
replaced because of its directory, causes a warning and no error: an exporter that does not start reports nothing at
all.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from exporter.errors import shown
from exporter.threads import in_time

if TYPE_CHECKING:
    from collections.abc import Iterator

# O_NOCTTY: a terminal given as the file must not become the controlling terminal.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SHORTEST_SECRET: Final = 8
# Names made of words, in any common style: `days_ago`, `maxRetries`, `QUERIES`, `query_2`.
_OF_WORDS: Final = re.compile(r"(?:(?:[a-z_-]|[A-Z](?=[a-z_-]|$))+|[A-Z_-]+)(?:(?<=[_-])[0-9]{1,3})?")
# Keys, tokens and generated passwords: long, with digits and both letter cases. Words, dates, durations and media IDs
# never have all of these.
_RANDOM: Final = tuple(map(re.compile, ("[0-9]", "[a-z]", "[A-Z]")))
_UNBROKEN: Final = re.compile(r"[!-~]{16,}")
_IN_KUBERNETES: Final = "in Kubernetes, mount it with defaultMode: 0440"


FileState: TypeAlias = tuple[int, int, int, int]
"""Times, size and inode of a file: at least one differs after it was changed or replaced."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file; `world_writable`: everyone may write to it."""

    data: bytes = field(repr=False)
    world_writable: bool


@dataclass(frozen=True, slots=True)
class PermissionWarning:
    """A file with permissions that are too wide: `what` is wrong, and `advice`; each is a sentence."""

    path: Path
    what: str
    advice: str

    def __str__(self) -> str:
        """The path, followed by both sentences."""
        return f"{shown(self.path)}: {self.what}. {self.advice}"


def state_of(path: Path) -> FileState:
    """The state of a file, to notice when it changes. Raises OSError and ValueError."""
    found = path.stat()
    # Copying tools preserve the modification time, but nothing can set the change time.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def read(path: Path, *, most: int) -> Content:
    """The content of a regular file of at most `most` bytes.

    Raises OSError, whose `strerror` is a reason for the operator; also if its file system does not respond.
    """
    return in_time(lambda: _read(path, most), path)


def _read(path: Path, most: int) -> Content:
    try:
        # Opening a pipe may block for ever, and opening a device may have side effects.
        _check(path, path.stat())
        file = os.open(path, _FLAGS)
    except ValueError:
        raise OSError(errno.EINVAL, "it is not a usable path", shown(path)) from None
    with os.fdopen(file, "rb") as opened:
        # Check again: the file may have been replaced between `stat` and `open`.
        status = os.fstat(file)
        _check(path, status)
        data = opened.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", shown(path))
    return Content(data, bool(status.st_mode & stat.S_IWOTH) and not _is_mounted_read_only(path))


def read_secret(path: Path, *, most: int) -> bytes:
    """Like `read`; raises OSError also if everyone may write to the file."""
    content = read(path, most=most)
    if content.world_writable:
        raise OSError(errno.EPERM, "everyone may write to it, so do not trust it; run chmod 600 on it", shown(path))
    return content.data


def permission_warnings(path: Path, *, is_secret: bool = True, is_used: bool = False) -> Iterator[PermissionWarning]:
    """Yield a warning for each permission on a file that is too wide; may block.

    There are none for a file that does not exist, or for one on a read-only mount (of the file or its directory), as in
    Kubernetes: there, modes do not determine who has access. `is_secret`: warn also if everyone may read it. `is_used`:
    it is used even if everyone may write to it.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        if _is_mounted_read_only(path):
            return
        if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_own_group(status)):
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
    """Whether the name of a setting looks like a key, token or password, and not like words."""
    is_long = len(name) >= _SHORTEST_SECRET and name.isascii() and not any(c.isspace() for c in name)
    return is_long and not _OF_WORDS.fullmatch(name)


def without_keys(value: str) -> str:
    """A value that was expected to be public, with `***` for what looks like a key or token in it."""
    return _UNBROKEN.sub(lambda found: "***" if all(each.search(found[0]) for each in _RANDOM) else found[0], value)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", shown(path))


def _is_own_group(status: os.stat_result) -> bool:
    """Whether the group of a file is its owner's own, without other members, as where the umask is 0002 (Debian 13).

    By the rule of pam_umask, which sets that umask: it is the primary group of a user, and has the user's name. Not for
    root, whose group other users have in containers.
    """
    with contextlib.suppress(KeyError):
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
        is_own = (owner.pw_name, owner.pw_gid) == (group.gr_name, group.gr_gid)
        return is_own and owner.pw_uid != 0 and set(group.gr_mem) <= {owner.pw_name}
    return False


def _is_open_to_all(directory: Path) -> bool:
    """Whether everyone may replace files of a directory; with the sticky bit only their owners may."""
    mode = directory.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX and not _is_read_only_mount(directory)


def _is_mounted_read_only(path: Path) -> bool:
    return _is_read_only_mount(path) or _is_read_only_mount(path.parent)


def _is_read_only_mount(path: Path) -> bool:
    """Whether the path is a read-only mount point. `/` does not count: systemd mounts it read-only for some units."""
    with contextlib.suppress(OSError, ValueError):
        is_mount = path != Path("/") and os.path.ismount(path)
        return is_mount and bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False
