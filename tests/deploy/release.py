"""Whether program, chart and CHANGELOG have one version: `python -m tests.deploy.release v1.2.3`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from exporter import __version__

ROOT: Final = Path(__file__).parent.parent.parent


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """What has another version than the tag, as sentences; empty: the tag can be released."""
    if not (match := re.fullmatch(r"v(\d+\.\d+\.\d+)", tag)):
        return [f"{tag!r} is not a tag like v1.2.3"]
    version = match[1]
    chart = (root / "deploy" / "helm" / "aliyun-vod-exporter" / "Chart.yaml").read_text(encoding="utf-8")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = {
        "exporter/__init__.py": __version__,
        **{f"{name} in Chart.yaml": _after(f"{name}: ", chart) for name in ("version", "appVersion")},
        "VERSION in the Dockerfile": _after("ARG VERSION=", (root / "Dockerfile").read_text(encoding="utf-8")),
    }
    found = [f"{where} is {other}, not {version}" for where, other in versions.items() if other != version]
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no line: ## [{version}] - YYYY-MM-DD")
    return found


def _after(key: str, text: str) -> str:
    """The rest of the line that begins so."""
    (line,) = re.findall(rf"^{re.escape(key)}(\S+)$", text, re.MULTILINE)
    return str(line)


def main() -> int:
    """Print the problems of the tag; exit status 1 with any."""
    found = problems(sys.argv[1] if sys.argv[1:] else "")
    sys.stdout.write(("\n".join(found) or "one version everywhere") + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
