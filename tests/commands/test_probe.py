"""`probe` against the simulator: what it finds, what it leaves out, and how it fails."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from exporter import app
from exporter.cli import main
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.error_responses import API_ERRORS
from exporter.simulator.faults import Fault
from exporter.simulator.incidents import parse_incident
from exporter.simulator.variants import parse_variants
from tests.simulator.clients import Clock, no_sleep, simulator
from tests.simulator.loopback import listening

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.simulator.service import Simulator

ACTIONS = (
    "DescribeVodMediaPlayData",
    "GetCategories",
    "SearchMedia",
    "GetVideoInfos",
    "DescribeVodPlayerMetricData",
)
SECRET = "a-secret-of-thirty-characters."


class Probed:
    """The result of one run of `probe`: exit status, text, and the text after each label, by action."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err
        self.actions: dict[str, dict[str, str]] = {}
        lines: dict[str, str] = {}
        for line in out.splitlines():
            if line in ACTIONS:
                lines = self.actions[line] = {}
            elif found := re.fullmatch(r" {2,4}(\S.*?) {2,}(\S.*)", line):
                lines[found[1]] = found[2]


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def probed(
    service: Simulator,
    clock: Clock,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *flags: str,
    credentials: AccessKeyPair | None = None,
) -> Probed:
    monkeypatch.setattr(app, "Runtime", partial(app.Runtime, now=clock, sleep=no_sleep))
    key = credentials or service.conditions.credentials
    given = {"access_key_id": key.access_key_id, "access_key_secret": key.access_key_secret}
    async with listening(service) as url:
        account = {"name": "main", "endpoint": url, "credentials": given, "limits": {"requests_per_second": 1000}}
        queries = [{"name": "popular", "media": {"top": 10, "by": "plays"}}]
        (tmp_path / "config.yaml").write_text(json.dumps({"accounts": [account], "queries": queries}))
        argv = ["probe", f"--config.file={tmp_path / 'config.yaml'}", *flags]
        status = await asyncio.to_thread(main, argv, {})
    return Probed(status, *capsys.readouterr())


@pytest.fixture
def run(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda service, *flags, **more: probed(service, clock, tmp_path, capsys, monkeypatch, *flags, **more)


async def test_what_it_finds_of_a_service_as_documented(run: Any, clock: Clock) -> None:
    service = simulator(clock, media=150)
    result = await run(service)

    assert (result.status, result.err) == (0, "")
    assert tuple(result.actions) == ACTIONS
    play_data, categories, search, infos, player = result.actions.values()
    assert {label: play_data[label] for label in list(play_data)[13:]} == {
        "QoeInfoList[].PlayDurationPerUv": "number with decimals",
        "the day before yesterday": "answered with rows",
        "order of rows without OrderName": "not sorted by any field",
        "the same page twice": "the same rows in the same order",
        "the second page": "other rows than the first page",
        "OrderName=PlaySuccessVv, DESC": "descending",
        "yesterday": "answered with rows",
        "today": "answered with rows",
        "29 days ago": "answered with rows",
        "30 days ago": "answered with rows",
        "31 days ago": "Meter.ParamError (HTTP 400)",
    }
    assert categories["SubCategories.Category[].CateId"] == "integer"
    assert categories["a category with SubTotal above 0"] == "subcategories, of this parent"
    assert categories["a CateId that does not exist"] == "InvalidCateId.NotFound (HTTP 404)"
    assert search["MediaList[].Video.CateId"] == "integer, not always there"
    assert search["MediaList[].CreationTime"] == "text yyyy-MM-ddTHH:mm:ssZ"
    assert search["CreationTime of rows"] == "ascending"
    assert search["next page of 50 by ScrollToken"] == "answered"
    assert infos["order of rows"] == "as requested"
    assert infos["only an ID that does not exist"] == "InvalidVideo.NotFound (HTTP 404)"
    assert player["mobile: newest bucket with plays"] == "ended 15 min before now, if its time is its start"
    assert player["web: order of rows"] == "ascending"
    assert player["buckets of 1d start at"] == "16:00:00Z"
    assert player["364 days ago"] == "answered with plays"
    assert player["366 days ago"] == "Meter.ParamError (HTTP 400)"
    sent = sum(sum(each.values()) for each in service.request_log.counts.values())
    assert result.out.splitlines()[-1] == f"{sent} requests sent. Not answered: none."


@pytest.mark.parametrize(
    ("variant", "action", "label", "text"),
    [
        ("tags:substring", "SearchMedia", "a video by a part of its tag", "found"),
        ("tags:words", "SearchMedia", "a video by a part of its tag", "not found"),
        ("subcategories:included", "SearchMedia", "a category with subcategories", "media of subcategories too"),
        ("scroll:5_pages", "SearchMedia", "next page of 100 by ScrollToken", "answered"),
        ("scroll:100_media", "SearchMedia", "next page of 100 by ScrollToken", "InvalidParameter (HTTP 400)"),
        ("beyond_5000:error", "SearchMedia", "page 51 of 100 without ScrollToken", "InvalidParameter (HTTP 400)"),
        ("numbers:strings", "SearchMedia", "MediaList[].Video.Duration", "numeric text"),
        ("uncategorised:null", "SearchMedia", "MediaList[].Video.CateId", "integer or null"),
        ("missing_ids:text", "GetVideoInfos", "NonExistVideoIds", "JSON text"),
        ("not_found:never", "GetVideoInfos", "only an ID that does not exist", "answered"),
        ("root_category:absent", "GetCategories", "Category of the root", "absent"),
        ("player_lag:none", "DescribeVodPlayerMetricData", "mobile: newest bucket with plays", "ended 0 min before"),
        ("player_lag:6h", "DescribeVodPlayerMetricData", "mobile: newest bucket with plays", "ended 365 min before"),
        ("unready_buckets:zero", "DescribeVodPlayerMetricData", "mobile: rows after that bucket", "0"),
        ("unready_buckets:null", "DescribeVodPlayerMetricData", "mobile: rows after that bucket", "null"),
        ("bucket_gaps:some", "DescribeVodPlayerMetricData", "mobile: missing buckets before it", "some"),
        ("bucket_order:descending", "DescribeVodPlayerMetricData", "mobile: order of rows", "descending"),
        ("bucket_order:shuffled", "DescribeVodPlayerMetricData", "mobile: order of rows", "not sorted"),
        ("dimension:empty", "DescribeVodPlayerMetricData", "mobile: Dimension", "empty text"),
        ("dimension:several", "DescribeVodPlayerMetricData", "mobile: rows of one bucket", "several"),
        ("extend:absent", "DescribeVodPlayerMetricData", "mobile: ActualEndTime", "absent"),
        ("unknown_app:empty", "DescribeVodPlayerMetricData", "an AppId that does not exist", "answered"),
        ("day_buckets:utc", "DescribeVodPlayerMetricData", "buckets of 1d start at", "00:00:00Z"),
    ],
)
async def test_it_finds_what_is_not_documented(
    run: Any, clock: Clock, variant: str, action: str, label: str, text: str
) -> None:
    result = await run(simulator(clock, media=150, variants=parse_variants([variant])))
    assert result.status == 0
    assert result.actions[action][label].startswith(text)


async def test_the_form_of_buckets_without_plays(run: Any, clock: Clock) -> None:
    for form in ("zero", "null"):
        gone = parse_incident("account:-100%@0T08:00..0T09:00", seed=0, now=clock.now)
        service = simulator(clock, incidents=(gone,), variants=parse_variants([f"empty_buckets:{form}"]))
        player = (await run(service)).actions["DescribeVodPlayerMetricData"]
        assert player["mobile: rows without plays before it"] == {"zero": "0", "null": "null"}[form]


async def test_values_are_printed_on_request_only(run: Any, clock: Clock) -> None:
    service = simulator(clock, media=150)
    videos = service.library.at(clock.now).videos
    names = {
        each.name
        for each in service.library.categories.by_id.values()
        if len(each.name) > 2 and not each.name.isdecimal()
    }
    private = {text for video in videos for text in (video.media_id, video.title.strip(), *video.tags)} | names

    hidden = await run(service)
    shown = await run(service, "--values")

    assert not [text for text in private if re.search(rf"\b{re.escape(text)}\b", hidden.out)]
    assert [text for text in private if text in shown.out]
    assert shown.actions["SearchMedia"]["MediaList[].Video.Status"] == 'text, such as "Normal"'
    assert "auth_key" not in shown.out
    assert hidden.out.count("\n") == shown.out.count("\n")


async def test_no_secret_is_printed(run: Any, clock: Clock) -> None:
    key = AccessKeyPair("key", SECRET)
    service = simulator(clock, credentials=key)
    video = service.library.at(clock.now).videos[0]
    # A service that repeats it, at the beginning of a text that is cut.
    service.library.put(
        *(type(video)(f"{number:032x}", f"{'x' * 40}{SECRET}", 1.0, 0, 0, tags=(SECRET,)) for number in range(3))
    )
    result = await run(service, "--values")
    assert result.status == 0
    assert "***" in result.actions["SearchMedia"]["MediaList[].Video.Title"]
    assert SECRET[:10] not in result.out + result.err


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_refused_action_does_not_stop_the_others(run: Any, clock: Clock, action: str) -> None:
    service = simulator(clock, faults=(Fault("Forbidden.RAM", when={"Action": action}),))
    result = await run(service)
    assert result.status == 1
    assert result.out.splitlines()[-1].endswith(f"Not answered: {action}.")
    refused = result.actions.pop(action)
    assert refused["result"] == "failed: Forbidden.RAM with HTTP 403, kind auth"
    assert f"vod:{action} " in refused["advice"]
    assert all(lines["result"].startswith("answered") for lines in result.actions.values())


async def test_the_message_of_an_error_is_printed_with_the_values(run: Any, clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("Forbidden.RAM", when={"Action": "SearchMedia"}),))
    assert "User not authorized" not in (await run(service)).out
    assert "User not authorized" in (await run(service, "--values")).actions["SearchMedia"]["message"]


async def test_a_wrong_key_fails_every_action(run: Any, clock: Clock) -> None:
    result = await run(simulator(clock), credentials=AccessKeyPair("simulator", SECRET))
    assert result.status == 1
    codes = [lines["result"] for lines in result.actions.values()]
    assert codes == ["failed: SignatureDoesNotMatch with HTTP 400, kind auth"] * len(ACTIONS)


@pytest.mark.parametrize(
    "fault", ["html", "empty", "truncated", "reset", "http_502", "lower_case", "strings", "nulls", "missing", "no_list"]
)
async def test_broken_responses_are_results_too(run: Any, clock: Clock, fault: str) -> None:
    assert fault not in API_ERRORS
    result = await run(simulator(clock, faults=(Fault(fault),)), "--values")
    assert tuple(result.actions) == ACTIONS
    assert all("result" in lines for lines in result.actions.values())
    assert "Traceback" not in result.err
    assert result.status == (0 if fault in {"strings", "nulls", "missing", "no_list"} else 1)


async def test_an_account_without_media(run: Any, clock: Clock) -> None:
    result = await run(simulator(clock, media=0))
    assert result.status == 0
    assert result.actions["GetVideoInfos"]["result"] == "failed: InvalidVideo.NotFound with HTTP 404, kind parameter"
    assert result.actions["DescribeVodPlayerMetricData"]["mobile: newest bucket with plays"] == (
        "none in the last 8 hours"
    )


async def test_an_account_that_is_not_configured(run: Any, clock: Clock) -> None:
    result = await run(simulator(clock), "--account=mian")
    assert result.status == 2
    assert result.err == ("aliyun-vod-exporter: --account: there is no account 'mian'; the configuration has main\n")


def test_several_accounts_need_the_name_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accounts = [{"name": name, "credentials": {"access_key_id": "k", "access_key_secret": "s"}} for name in "ab"]
    queries = [{"name": "popular", "account": "a", "media": {"top": 10, "by": "plays"}}]
    (tmp_path / "config.yaml").write_text(json.dumps({"accounts": accounts, "queries": queries}))
    assert main(["probe", f"--config.file={tmp_path / 'config.yaml'}"], {}) == 2
    assert "--account: there are several accounts; the configuration has a, b" in capsys.readouterr().err
