"""Users and groups of the files of tests."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def group_named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the files of this process belong to user `vod` (1000) and to a group with this name, ID and members."""
    uid, gid = os.getuid(), os.getgid()

    def name(group: str, *members: str, primary: int = gid, owner: int = 1000) -> None:
        users = {uid: pwd.struct_passwd(("vod", "x", owner, primary, "", "/home/vod", "/bin/sh"))}
        groups = {gid: grp.struct_group((group, "x", gid, list(members)))}
        monkeypatch.setattr(pwd, "getpwuid", users.__getitem__)
        monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)

    return name


@pytest.fixture
def shared_group(group_named: Callable[..., None]) -> None:
    """Let others be in the group of files."""
    group_named("staff")
