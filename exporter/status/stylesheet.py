"""The page's stylesheet and its path, which contains a hash of the content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def stylesheet() -> tuple[str, bytes]:
    """Return path and content; the path changes with the content, so that browsers may cache it forever."""
    css = files("exporter.status").joinpath("templates", "page.css").read_bytes()
    return f"/static/page-{hashlib.sha256(css).hexdigest()[:16]}.css", css
