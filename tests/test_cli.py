from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter import __version__
from exporter.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


VALID = "queries: [{name: q, media: all}]"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(VALID)
    return file


def status_of(*argv: str) -> int:
    """The exit status, whether it is returned or raised."""
    try:
        return main(list(argv), {})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"aliyun-vod-exporter, version {__version__} (revision: unknown)"
    assert others[0] == f"  python version:   {platform.python_version()}"
    assert re.fullmatch(r"  platform:         \w+/\w+", others[1])
    assert len(others) == 2


def test_an_image_knows_what_it_was_built_from(capsys: pytest.CaptureFixture[str]) -> None:
    built = {"ALIYUN_VOD_EXPORTER_REVISION": "abc123", "ALIYUN_VOD_EXPORTER_CREATED": "2026-11-22T10:00:00Z"}
    assert main(["version"], built) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"aliyun-vod-exporter, version {__version__} (revision: abc123)\n")
    assert "  build date:       2026-11-22T10:00:00Z\n" in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_flags_and_their_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    printed = capsys.readouterr().out
    assert "--log.level" in printed
    assert f"(default: {'warn' if command in {'fetch', 'backfill', 'probe'} else 'info'})" in printed
    assert (status_of("help", command), capsys.readouterr().out) == (0, printed)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["-h"], ["-help"], ["help"], ["help", "help"], ["help", "version"], ["--log.level=debug", "--help"]],
)
def test_help_is_about_the_daemon_and_names_all_else(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for word in (*COMMANDS, "help", "version", "--config.file", "--web.listen-address", "(default: :9985)"):
        assert word in printed
    for word in (
        "environment variables:",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "HTTPS_PROXY",
        "exit status:",
        "129, 130, 143",
    ):
        assert word in printed


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_fits_a_terminal_of_usual_width(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "90")

    assert status_of("help", *command) == 0
    assert all(len(line) <= 88 for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("level", ["warn", "warning", "WARN"])
def test_a_level_has_the_name_that_it_has_in_other_exporters(
    level: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("check-config", "--syntax-only", f"--config.file={config}", f"--log.level={level}") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["check-config", "--syntax-only", "--config.file=FILE"],
        ["--config.file=FILE", "check-config", "--syntax-only"],
        ["--config.file", "FILE", "check-config", "--syntax-only"],
        ["check-config", "--config.file", "FILE", "--syntax-only", "--log.format=json"],
    ],
)
def test_a_command_may_stand_anywhere(argv: list[str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*(word.replace("FILE", str(config)) for word in argv)) == 0
    assert f"{config}: valid" in capsys.readouterr().out


def test_a_file_named_like_a_command_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text(VALID)

    assert status_of("check-config", "--syntax-only", "--config.file", "demo") == 0


@pytest.mark.parametrize("argv", [[], ["serve"], ["check-config"], ["fetch"], ["--log.level=debug"]])
def test_a_missing_configuration_is_reported(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert status_of(*argv) == 2
    assert capsys.readouterr().err == "config.yaml: there is no such file; name one with --config.file\n"


def test_every_problem_of_a_configuration_is_reported_with_its_position(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("queries:\n  - name: q\n    media: all\n    dimensions: [{os: android}]\n    evry: 5m\n")

    assert status_of(f"--config.file={config}") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        f"{config}:4:23: queries[0].dimensions[0].os: 'android' is not one of Android, iOS, Windows"
    )
    assert second.startswith(f"{config}:5:5: queries[0].evry: ")


def test_without_keys_it_cannot_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(f"--config.file={config}", "--web.listen-address=127.0.0.1:0") == 1
    printed = capsys.readouterr().err
    assert printed.startswith(
        "aliyun-vod-exporter: account default: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is"
    )


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (["--bogus"], "unknown flag --bogus; try aliyun-vod-exporter --help"),
        (["--web.listen-adress=:1"], "unknown flag --web.listen-adress, did you mean --web.listen-address; try"),
        (["--versoin"], "unknown flag --versoin, did you mean --version; try"),
        (["check-config", "--confg.file", "x"], "--config.file; try aliyun-vod-exporter check-config --help"),
        (["nonsense"], "unknown command 'nonsense'; try aliyun-vod-exporter --help"),
        (["\N{EM DASH}config.file=x"], "holds '\N{EM DASH}' (U+2014, em dash): write '-'"),
        (
            ["fetch", "\N{EN DASH}-output=json"],
            "fetch takes flags only; it holds '\N{EN DASH}' (U+2013, en dash): write '-'",
        ),
        (["--config.file\N{FULLWIDTH EQUALS SIGN}x"], "full-width equals sign): write '='"),
        (["fetch\N{IDEOGRAPHIC SPACE}--output=json"], "(U+3000, ideographic space): write ' '"),
        (["chek-config"], "unknown command 'chek-config', did you mean check-config; try"),
        (["help", "fecth"], "unknown command 'fecth', did you mean fetch; try"),
        (["fetch", "more"], "unexpected 'more', fetch takes flags only; try"),
        (["backfill"], "give either --output=FILE or --blocks=DIRECTORY"),
        (["--log.level=loud"], "invalid choice: 'loud'"),
        (["--web.listen-address=9985"], "'9985' is not an address: write HOST:PORT, [IPv6]:PORT, or :PORT for every"),
        # The C library takes `*` for this machine alone.
        (
            ["--web.listen-address=*:9985"],
            "'*:9985' is not an address: write HOST:PORT, [IPv6]:PORT, or :PORT for every",
        ),
        (["--web.listen-address=a,b:1"], "'a,b:1' is not an address"),
        (["--web.listen-address=[zz]:1"], "'[zz]:1' is not an address"),
        (["--web.listen-address=:\N{FULLWIDTH DIGIT NINE}"], "is not an address"),
        (["--shard=\N{ARABIC-INDIC DIGIT ONE}"], "is not a whole number from 0"),
        (["--config.file="], "argument --config.file: is empty: name a file"),
        (["check-healthy", "--tls.ca-file="], "argument --tls.ca-file: is empty: name a file"),
        (["backfill", "--output="], "argument --output: is empty: name a file"),
        (
            ["--config.file=~/c.yaml"],
            "argument --config.file: '~/c.yaml': ~ is not replaced here: write the whole path",
        ),
        (
            ["--storage.path=~/c.yaml"],
            "argument --storage.path: '~/c.yaml': ~ is not replaced here: write the whole path",
        ),
        (
            ["--web.config.file=~/c.yaml"],
            "argument --web.config.file: '~/c.yaml': ~ is not replaced here: write the whole path",
        ),
        (
            ["backfill", "--output=~/c.yaml"],
            "argument --output: '~/c.yaml': ~ is not replaced here: write the whole path",
        ),
        (["simulate", "--media=10000001"], "argument --media: '10000001' is more than 10000000"),
        (["demo", "--media=10000001"], "argument --media: '10000001' is more than 10000000"),
        (["--web.telemetry-path=/a/../b"], "'/a/../b' is not a path of its own"),
        (["--web.telemetry-path=//b"], "'//b' is not a path of its own"),
        (["--web.telemetry-path=/a%20b"], "'/a%20b' is not a path of its own"),
        (["--web.telemetry-path=/\u89c6"], "'/\\u89c6' is not a path of its own"),
        (["--web.telemetry-path=/api/v1/status"], "'/api/v1/status' is not a path of its own"),
        (["--web.telemetry-path=/static/metrics"], "'/static/metrics' is not a path of its own"),
        (["--config.enable-auto-reload=true"], "--config.enable-auto-reload takes no value: leave 'true' out; try"),
        (["--version=1"], "--version takes no value and no other words; try"),
        (["--help-man", "more"], "--help-man takes no value and no other words; try"),
        (["SERVE"], "unknown command 'SERVE', did you mean serve; try"),
        (["check"], "unknown command 'check', did you mean check-config or check-healthy; try"),
        (["--web.conf=x"], "unknown flag --web.conf, did you mean --web.config.file; try"),
        (["version", "more"], "version must be the first word, and `version` the only one; try"),
        (["help", "serve", "fetch"], "help takes one command; try"),
        (["help", "help", "serve"], "help takes one command; try"),
        (["simulate", "--rate=fast"], "argument --rate: 'fast' is not a number from 0"),
        (["simulate", "--rate=nan"], "argument --rate: 'nan' is not a number from 0"),
        (["--web.telemetry-path=metrics"], "'metrics' is not a path of its own: write one like /metrics"),
        (["--web.telemetry-path=/-/ready"], "'/-/ready' is not a path of its own"),
        (["--web.external-url=monitoring.example.com/vod"], "not a URL to be found under: write http:// or https://"),
        (["--web.external-url='https://x/vod'"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=ftp://x/vod"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=https:///vod"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=//x/vod"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=https://x:port/vod"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=https://x/vod?a=b"], "argument --web.external-url: not a URL to be found under"),
        (["--web.external-url=https://x/a/../b"], "'/a/../b' is not a path to begin with: write one like /vod"),
        (["--web.external-url=https://x/v%6Fd"], "'/v%6Fd' is not a path to begin with"),
        (["--web.route-prefix=/v od"], "'/v od' is not a path to begin with: write one like /vod"),
        (["--web.route-prefix=https://x/vod"], "'https://x/vod' is not a path to begin with"),
        (["--web.route-prefix=/a//b"], "'/a//b' is not a path to begin with"),
        (["--web.route-prefix=/{vod}"], "'/{vod}' is not a path to begin with"),
        (["--web.route-prefix=/\u89c6\u9891"], "'/\\u89c6\\u9891' is not a path to begin with"),
        (["fetch", "--output=xml"], "invalid choice: 'xml'"),
        (["demo", "--media=-1"], "'-1' is not a whole number from 0"),
        (["simulate", "--fail=Nonsense:1"], "'Nonsense' is not one of Meter.ParamError"),
        (["simulate", "--fail=Meter.AuthError"], "is not [ACTION/]CODE:RATE"),
        (["simulate", "--latency=soon"], "argument --latency: "),
        (["simulate", "--collapse=31"], "31 is more than 30 days ago"),
        (["simulate", "--incident=os:android@1"], "--incident: 'os:android@1': 'android' is not one of Android, iOS,"),
        (["simulate", f"--incident=removal:{32 * 'a'}@1"], f"the account has no video {32 * 'a'}"),
        (["simulate", "--rate=-1"], "argument --rate: '-1' is not a number from 0"),
        (["simulate", "--access-key-id="], "access_key_id and access_key_secret must not be empty"),
    ],
)
def test_a_wrong_flag_is_refused_with_what_is_right(
    argv: list[str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert printed in line


def test_what_is_no_external_url_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--web.external-url=https://ann:hunter22@x/vod") == 2
    assert "hunter22" not in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_failure_to_complain_of() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "check-config", "--schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as request:
        assert request.stdout
        assert request.stderr
        request.stdout.close()
        assert request.stderr.read() == b""


# These commands run every few seconds or at a prompt: they import only the standard library and flags.
HEAVY = {
    *("aiohttp", "apscheduler", "asyncio", "click", "cryptography", "httpx", "jinja2", "msgspec", "OpenSSL"),
    *(
        "prometheus_client",
        "pydantic",
        "pygments",
        "rich",
        "sqlite3",
        "starlette",
        "structlog",
        "uvicorn",
        "yaml",
        "yarl",
    ),
}


def run_alone(program: str) -> str:
    """The output of a program in a process without coverage, whose imports would count."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environ
    ).stdout


def imported(*argv: str) -> set[str]:
    """The modules loaded by a command line, by package."""
    program = (
        f"import sys; sys.argv[1:] = {list(argv)!r}; from exporter.__main__ import main; main(); print(*sys.modules)"
    )
    return set(run_alone(program).splitlines()[-1].split())


@pytest.mark.parametrize("argv", [["--version"], ["version"]])
def test_the_version_needs_nothing(argv: list[str]) -> None:
    modules = imported(*argv)
    assert not modules & (HEAVY | {"argparse", "dataclasses"})


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["help"],
        *(["help", command] for command in COMMANDS),
        ["check-healthy", "--url=http://127.0.0.1:1"],
        ["--bogus"],
        ["serve", "--log.level=loud"],
    ],
)
def test_questions_need_no_library(argv: list[str]) -> None:
    assert not imported(*argv) & HEAVY


def test_the_configuration_is_checked_without_what_polls_and_serves(config: Path) -> None:
    modules = imported("check-config", f"--config.file={config}")
    assert "exporter.config.schema" in modules
    assert not modules & {
        *("exporter.core.player_buckets", "exporter.core.publication", "exporter.vod.credentials.sdk"),
        "aiohttp",
        "apscheduler",
        "click",
        "httpx",
        "jinja2",
        "pygments",
        "rich",
        "sqlite3",
        "starlette",
        "structlog",
        "uvicorn",
        "yaml._yaml",
    }


def test_plugins_of_pydantic_do_not_see_the_configuration(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "curious-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: curious\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[pydantic]\ncurious = curious_plugin\n")
    (tmp_path / "curious_plugin.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    modules = imported("check-config", f"--config.file={config}")
    assert "pydantic" in modules
    assert "curious_plugin" not in modules


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_its_own_metrics_are_never_those_of_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    program = (
        "from exporter.cli import main; main(['serve', '--config.file=none']);"
        "import prometheus_client; prometheus_client.Counter('name', 'help').inc()"
    )
    run_alone(program)
    assert not list(tmp_path.iterdir())


def test_a_plain_daemon_imports_no_terminal_page_password_role_or_storage_code() -> None:
    program = (
        "import sys; from exporter.cli import main; main(['serve', '--config.file=none']);"
        " from exporter.status.routes import status_routes; status_routes(None, '/metrics', {});"
        " print(*sys.modules)"
    )
    modules = set(run_alone(program).split())
    assert "exporter.app" in modules
    assert not modules & {
        *("concurrent.futures.process", "configparser", "greenlet", "logging.config", "msgspec.inspect"),
        *("multiprocessing", "tzlocal", "uvicorn._types", "yaml._yaml"),
        *(
            "bcrypt",
            "click",
            "cryptography",
            "httpcore",
            "httpx._main",
            "jinja2",
            "OpenSSL",
            "pygments",
            "rich",
            "sqlite3",
        ),
        *(
            "exporter.vod.credentials.sdk",
            "exporter.vod.credentials.cache",
            "exporter.web.access.live_config",
            "exporter.status.responses",
        ),
        *("exporter.status.summary", "exporter.status.html_page", "uvicorn.main"),
    }
