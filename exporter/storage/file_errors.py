"""Why a storage file cannot be used: each reason as one line with advice."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, Final

from exporter.errors import LARGER_FILES, OPEN_MORE_FILES, StartError, shown

if TYPE_CHECKING:
    from pathlib import Path

CHOOSE_ANOTHER: Final = "Choose another --storage.path"
MOVE_AWAY: Final = "Move the file away, its -wal and -shm too, and start again: recent days are polled again."


def refusal(path: Path, what: str, advice: str) -> StartError:
    """The error that a file cannot be used: the reason and the advice, in one line."""
    return StartError(f"storage {shown(path)}: {what}. {advice}")


def not_ours(path: Path) -> StartError:
    """The file has content of another program."""
    return refusal(path, "this is not a file of aliyun-vod-exporter; it was left as it is", f"{CHOOSE_ANOTHER}.")


def corrupt(path: Path, detail: object) -> StartError:
    """The file is ours, but corrupt."""
    return refusal(path, f"the file is damaged ({ascii(str(detail))[1:-1]})", MOVE_AWAY)


def advice_on_size(sqlite_error: str) -> str:
    """The advice if a write failed and the size of files is limited: SQLite names no reason. Empty otherwise."""
    is_limited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    return LARGER_FILES if is_limited and sqlite_error == "SQLITE_IOERR_WRITE" else ""


def of_another_file(path: Path, beside: Path, why: str) -> StartError:
    """A -wal or -journal does not belong to the file, which is valid by itself."""
    what = f"{shown(beside)} {why}; both files were left as they are"
    advice = "Move that one away, with the -shm if there is one, and start again: what the other lacks is polled again."
    return refusal(path, what, advice)


def refused_by_system(path: Path, number: int | None, reason: str) -> StartError:
    """The operating system refuses the file, with this error number and reason."""
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return refusal(path, f"cannot use it: {reason}", f"Free space on its disk, or {CHOOSE_ANOTHER.lower()}.")
    if number in {errno.EMFILE, errno.ENFILE}:
        return refusal(path, f"cannot use it: {reason}", OPEN_MORE_FILES)
    if number == errno.EROFS:
        return refusal(path, f"cannot use it: {reason}", f"{CHOOSE_ANOTHER}, or mount that file system writable.")
    return refusal(path, f"cannot use it: {reason}", f"{CHOOSE_ANOTHER}, or let the exporter's user write there.")
