"""An image of the exporter, built once for all tests that run it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deploy.containers import BASE, CannotRunError, Engine, build, make_base

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A store with the base image; without container support the tests are skipped with the reason."""
    # podman rejects paths above 50 characters, and those of pytest are longer.
    engine = Engine(Path(tempfile.mkdtemp(prefix="vod-")))
    try:
        make_base(engine)
        engine.run(BASE, "python", "-c", "")
    except CannotRunError as reason:
        engine.remove()
        if os.environ.get("REQUIRE_TOOLS") == "1":
            raise
        pytest.skip(f"containers cannot run here: {reason}")
    yield engine
    engine.remove()


@pytest.fixture(scope="session")
def image(engine: Engine) -> Engine:
    """The store with the image of the Dockerfile."""
    build(engine, "--build-arg=REVISION=0123abc")
    return engine
