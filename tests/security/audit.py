"""Known vulnerabilities of locked packages, as `make audit` reports them: `python -m tests.security.audit`.

Every lock must pin one version of each package with hashes; that check needs no network. The vulnerabilities come from
a service: if it cannot be reached, that is reported and is no failure unless REQUIRE_AUDIT=1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = tuple(ROOT / "requirements" / f"{lock}.txt" for lock in ("runtime", "roles", "dev", "build"))
# Hashes are required, and nothing is installed or resolved.
_PIP_AUDIT: Final = ("-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


class NotAudited(Exception):
    """The vulnerability service cannot be reached; the message says why."""


class BadLock(Exception):
    """A lock does not name one version of each package with hashes; the message says which."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Print the vulnerabilities; 1 for vulnerabilities and bad locks, and with REQUIRE_AUDIT=1 without a service."""
    parser = argparse.ArgumentParser(prog="audit", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--osv-url", help="the OSV service to ask instead of the public one")
    parser.add_argument("locks", nargs="*", type=Path, default=LOCKS, metavar="LOCK", help="by default every one")
    given = parser.parse_args(argv)
    try:
        packages = audited(given.locks, ("--osv-url", given.osv_url) if given.osv_url else ())
    except BadLock as error:
        return _print_and_return(1, f"bad lock: {error}")
    except NotAudited as error:
        status = 1 if environ.get("REQUIRE_AUDIT") == "1" else 0
        return _print_and_return(status, f"nothing was audited, the vulnerability service cannot be reached: {error}")
    found = list(vulnerabilities(packages))
    return _print_and_return(
        1 if found else 0, *found, f"{len(packages)} packages audited, {len(found)} known vulnerabilities"
    )


def audited(locks: Sequence[Path], service: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Each package of the locks for this Python and platform, as pip-audit has it. Raises BadLock and NotAudited."""
    which = [f"--requirement={lock}" for lock in locks]
    looked = _pip_audit("--dry-run", *which)
    if looked.returncode:
        raise BadLock(_last_line(looked.stderr))
    completed = _pip_audit("--vulnerability-service=osv", "--timeout=15", *service, *which)
    try:
        packages: list[dict[str, Any]] = json.loads(completed.stdout)["dependencies"]
    except ValueError:
        raise NotAudited(_last_line(completed.stderr)) from None
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        raise NotAudited(f"it says nothing of {', '.join(skipped)}")
    return packages


def vulnerabilities(packages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each: package, version, its names, and the versions that fix it."""
    for package in packages:
        for known in package["vulns"]:
            names = ", ".join(dict.fromkeys((known["id"], *known["aliases"])))
            fixed = ", ".join(known["fix_versions"]) or "no version"
            yield f"{package['name']} {package['version']}: {names}; fixed in {fixed}"


def _pip_audit(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *_PIP_AUDIT, *flags], check=False, capture_output=True, text=True)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["pip-audit printed nothing"])[-1]


def _print_and_return(status: int, *lines: str) -> int:
    (sys.stderr if status else sys.stdout).write("".join(f"{line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
