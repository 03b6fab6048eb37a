"""A process to kill or to run out of disk: `python -m tests.storage.child hold|polls|full|small|cut FILE`."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from exporter.errors import StartError
from tests.storage.examples import TODAY, StorageFile, some

if TYPE_CHECKING:
    from exporter.core.model import SliceData

SLICES = 5


def poll(number: int) -> list[SliceData]:
    """The slices of poll `number`; every row has the number as its plays."""
    return [some(number, day=TODAY - timedelta(days=ago), rows=40, at=float(number)) for ago in range(SLICES)]


async def hold(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some()])
        print("holding", flush=True)  # noqa: T201 - read by the test
        await asyncio.Event().wait()


async def polls(storage_file: StorageFile) -> None:
    """Poll endlessly from the number in the file on; print each number that is committed."""
    async with storage_file.opened() as storage:
        number = storage.calls_spent("main", TODAY)
        while True:
            number += 1
            storage.record_calls("main", TODAY, number)
            await storage.save(poll(number))
            print(number, flush=True)  # noqa: T201 - read by the test


async def full(storage_file: StorageFile) -> None:
    """Save while no file may grow, and again afterwards; print failures and logs."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            await storage.save([some(1, day=TODAY)])
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
            await storage.save([some(2, day=TODAY)])
            await storage.save([some(3, day=TODAY - timedelta(days=1))])
            meanwhile = [str(data.slice.play_date) for data in await storage.load(date.min)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await storage.save([some(4, day=TODAY - timedelta(days=2))])
    print(json.dumps({"failures": storage_file.meter.failures, "meanwhile": meanwhile, "logs": logs}))  # noqa: T201 - likewise


async def small(storage_file: StorageFile) -> None:
    """Open the file while none may grow beyond a page; print why that fails."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        async with storage_file.opened():
            pass
    except StartError as error:
        print(error)  # noqa: T201 - read by the test


async def cut(storage_file: StorageFile) -> None:
    """Cut the -shm to several lengths while the file is open; print the number of failures and the logs."""
    shm = storage_file.path.with_name("state.db-shm")
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            for number, size in enumerate((0, 100, 4096, 32767), start=1):
                await storage.save(poll(2 * number))
                os.truncate(shm, size)
                await storage.save(poll(2 * number + 1))
            os.truncate(shm, 0)
    print(json.dumps({"failures": storage_file.meter.failures, "logs": logs}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(
        {"hold": hold, "polls": polls, "full": full, "small": small, "cut": cut}[sys.argv[1]](
            StorageFile(Path(sys.argv[2]))
        )
    )
