"""The page's stylesheet, and the path that names what is in it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def stylesheet() -> tuple[str, bytes]:
    """Its path, which changes with it so that a browser may keep it for ever, and itself."""
    css = files("exporter.status").joinpath("templates", "page.css").read_bytes()
    return f"/static/page-{hashlib.sha256(css).hexdigest()[:16]}.css", css
