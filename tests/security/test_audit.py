"""The audit of the locks: queries every package, reports vulnerabilities, and fails without a response."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.processes import free_port
from tests.security.audit import LOCKS, main
from tests.security.http_server import answering

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

HASH = f"--hash=sha256:{'0' * 64}"
VULNERABLE = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "affected": [
        {
            "package": {"name": "second", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}],
        }
    ],
}


@contextlib.contextmanager
def osv(status: int = 200, **known: Any) -> Generator[tuple[str, list[dict[str, Any]]]]:
    """A fake OSV service with vulnerabilities by package; records the requests."""
    queries_received: list[dict[str, Any]] = []

    def answer(question: bytes) -> tuple[int, bytes]:
        queries_received.append(json.loads(question))
        found = known.get(queries_received[-1]["package"]["name"])
        return status, json.dumps({"vulns": found} if found else {}).encode()

    with answering(answer) as url:
        yield f"{url}/v1/query", queries_received


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.txt"
    path.write_text(f"first==1.0 {HASH}\nsecond==2.0 {HASH}\nthird==3.0 ; sys_platform == 'win32' {HASH}\n")
    return path


def test_a_known_vulnerability_fails_the_audit_and_is_named(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with osv(second=[VULNERABLE]) as (url, queries_received):
        assert main([f"--osv-url={url}", str(lock)], {}) == 1
    assert capsys.readouterr().err.splitlines() == [
        "second 2.0: PYSEC-2026-1, CVE-2026-1; fixed in 2.1",
        "2 packages audited, 1 known vulnerabilities",
    ]
    assert [(each["package"]["name"], each["version"]) for each in queries_received] == [
        ("first", "1.0"),
        ("second", "2.0"),
    ]


def test_every_package_of_every_lock_is_queried(capsys: pytest.CaptureFixture[str]) -> None:
    with osv() as (url, queries_received):
        assert main([f"--osv-url={url}"], {}) == 0
    names = {each["package"]["name"] for each in queries_received}
    assert capsys.readouterr().out == f"{len(names)} packages audited, 0 known vulnerabilities\n"
    for path in LOCKS:
        # Those with a marker may be for another platform.
        everywhere = re.findall(r"^([\w.-]+)==[^\s;]+ \\$", path.read_text(), re.MULTILINE)
        assert everywhere
        assert set(everywhere) <= names


@pytest.mark.parametrize("environ", [{}, {"REQUIRE_AUDIT": "1"}])
def test_without_the_vulnerability_service_the_audit_reports_that_it_did_not_run(
    environ: dict[str, str], lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--osv-url=http://127.0.0.1:{free_port()}/", str(lock)], environ) == len(environ)
    expected = capsys.readouterr()
    line = expected.err if environ else expected.out
    assert line.startswith("nothing was audited, the vulnerability service cannot be reached: ")
    assert "refused" in line
    assert line.count("\n") == 1


def test_a_failing_vulnerability_service_counts_as_no_audit(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with osv(status=500, second=[VULNERABLE]) as (url, _):
        assert main([f"--osv-url={url}", str(lock)], {"REQUIRE_AUDIT": "1"}) == 1
    assert "nothing was audited" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"),
    [("first==1.0", "first==1.0 does not contain a hash"), (f"first>=1.0 {HASH}", "not pinned to an exact version")],
)
def test_an_empty_lock_fails_with_and_without_a_network(
    line: str, expected: str, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock.write_text(f"second==2.0 {HASH}\n{line}\n")
    assert main([f"--osv-url=http://127.0.0.1:{free_port()}/", str(lock)], {}) == 1
    stderr_text = capsys.readouterr().err
    assert stderr_text.startswith("bad lock: ")
    assert expected in stderr_text
