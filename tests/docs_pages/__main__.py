"""Regenerates the generated parts of docs/ and docs/zh-CN/: `python -m tests.docs_pages`, or `make docs`."""

from __future__ import annotations

import sys

from tests.docs_pages.pages import PAGES, chinese, english, page


def main() -> int:
    """Write every page; 1 when an English text has no translation."""
    languages = (english(), chinese())
    for language in languages:
        for name in PAGES:
            (language.folder / name).write_text(page(name, language), encoding="utf-8")
    missing = sorted(set().union(*(language.missing for language in languages)))
    for text in missing:
        sys.stderr.write(f"no translation in zh-CN.toml: {text}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
