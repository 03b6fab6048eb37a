from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from exporter import secret_files, threads
from exporter.config.loader import WatchedFile
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from exporter.secret_files import Content

VALID = "queries: [{name: q, media: all}]\n"
OTHER = "queries: [{name: other, media: all}]\n"


class Watch:
    """A watched file; each `look` causes one check."""

    def __init__(self, path: Path) -> None:
        self.file = WatchedFile(path, {})
        self.changed = asyncio.Event()
        self.waits: list[float] = []
        self._asleep = asyncio.Event()
        self._go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._asleep.set()
        await self._go_on.wait()
        self._go_on.clear()

    async def look(self) -> bool:
        """Whether the next check reports a change."""
        await self._asleep.wait()
        self._asleep.clear()
        self.changed.clear()
        self._go_on.set()
        await self._asleep.wait()
        return self.changed.is_set()


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    (tmp_path / "config.yaml").write_text(VALID)
    watched = Watch(tmp_path / "config.yaml")
    watched.file.read()
    task = asyncio.create_task(watched.file.watch(watched.changed, 30.0, watched.sleep))
    yield watched
    task.cancel()
    await asyncio.wait({task})


async def test_a_file_that_holds_the_same_has_not_changed(watch: Watch, tmp_path: Path) -> None:
    assert not await watch.look()
    os.utime(tmp_path / "config.yaml")
    assert not await watch.look()
    (tmp_path / "config.yaml").write_text(VALID)
    assert not await watch.look()
    assert set(watch.waits) == {30.0}


def in_place(path: Path) -> None:
    path.write_text(OTHER)


def with_old_times(path: Path) -> None:
    before = path.stat()
    path.write_text(OTHER[: before.st_size].ljust(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    new = path.with_name("new.yaml")
    new.write_text(OTHER)
    new.rename(path)


def gone(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [in_place, with_old_times, replaced, gone, a_directory])
async def test_a_change_is_reported_once_when_the_content_is_stable(
    watch: Watch, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    assert not await watch.look()
    change(tmp_path / "config.yaml")
    assert not await watch.look()  # it may be half written
    assert await watch.look()
    with contextlib.suppress(ConfigError):
        watch.file.read()
    assert not await watch.look()
    assert not await watch.look()
    assert watch.waits.count(1.0) == 1


async def test_a_file_that_is_being_written_is_left_to_its_writer(watch: Watch, tmp_path: Path) -> None:
    assert not await watch.look()
    for length in range(1, 6):
        (tmp_path / "config.yaml").write_text(OTHER[:length])
        assert not await watch.look()
    (tmp_path / "config.yaml").write_text(VALID)
    assert not await watch.look()
    assert not await watch.look()


async def test_a_config_map_changes_by_a_link(tmp_path: Path) -> None:
    """As with kubelet: config.yaml → ..data/config.yaml, and ..data → a new directory."""
    for name, text in (("..1", VALID), ("..2", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    watch = Watch(tmp_path / "config.yaml")
    watch.file.read()
    task = asyncio.create_task(watch.file.watch(watch.changed, 30.0, watch.sleep))
    assert not await watch.look()
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    await watch.look()
    assert await watch.look()
    assert watch.file.read().queries[0].name == "other"
    assert not await watch.look()
    task.cancel()
    await asyncio.wait({task})


async def test_what_a_reload_by_other_means_has_read_is_not_read_again(watch: Watch, tmp_path: Path) -> None:
    assert not await watch.look()
    (tmp_path / "config.yaml").write_text(OTHER)
    watch.file.read()
    assert not await watch.look()
    assert not await watch.look()


async def test_a_file_system_that_does_not_respond_is_an_error_and_noticed_when_it_does(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, responds, before = secret_files._read, threading.Event(), threading.active_count()  # noqa: SLF001 - blocks

    def hang(path: Path, most: int) -> Content:
        responds.wait(60)
        return read(path, most)

    with monkeypatch.context() as patched:
        patched.setattr(secret_files, "_read", hang)
        patched.setattr(threads, "FILE_SECONDS", 0.01)
        assert not await watch.look(), "a first look may be in the middle of a change"
        assert await watch.look()
        for _ in range(20):
            with pytest.raises(ConfigError, match="cannot be read: its file system does not respond"):
                watch.file.read()
        assert threading.active_count() < before + 10
        assert not await watch.look(), "it was reported"
    responds.set()
    while threading.active_count() > before:
        await asyncio.sleep(0.001)
    await watch.look()
    assert await watch.look(), "it is read again"
    assert watch.file.read().queries[0].name == "q"
