"""`check-config --online` against the simulator: what it finds, what it says of it, and how many requests it sends."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter import app
from exporter.cli import main
from exporter.commands.account_check import AccountCheck, AccountNeeds
from exporter.commands.online_check import check_online
from exporter.config.loader import loads
from exporter.core.media_details import MediaDetails
from exporter.core.media_search import SearchPage
from exporter.core.model import Page
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.faults import Fault
from exporter.simulator.variants import parse_variants
from exporter.vod.video_infos import VideoInfos
from tests.simulator.clients import NOON, Clock, no_sleep, simulator
from tests.simulator.loopback import listening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from exporter.simulator.service import Simulator
    from exporter.vod.actions import Action

CATEGORY: Final = "Courses/Mathematics"
EVERYTHING: Final[dict[str, Any]] = {
    "queries": [
        {"name": "courses", "media": {"search": {"category": [CATEGORY, "课程"]}}},
        {"name": "listed", "media": {"ids": ["9ae2af636ca6c10412f44891fc000000"]}},
    ],
    "metadata": {"labels": ["category"]},
    "player": [{"name": "app"}],
}
PLAY_DATA, CATEGORIES, SEARCH, INFOS, PLAYER = (
    "DescribeVodMediaPlayData",
    "GetCategories",
    "SearchMedia (courses)",
    "GetVideoInfos",
    "DescribeVodPlayerMetricData (app-1000000)",
)
EXAMPLE: Final = "9ae2af636ca6c10412f44891fc000000"
MISSING: Final = [f"{number:032x}" for number in range(1, 22)]


class Checked:
    """Exit status and output of one run; `results` by request."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        _, _, online = out.partition("\nRequests to the service, within 1m:\n\n")
        lines = [re.split(" {2,}", line) for line in online.splitlines()[1:-2]]
        self.accounts = {account for account, _, _ in lines}
        self.results = {request: result for _, request, result in lines}
        self.sent = 0
        if online:
            counted = re.fullmatch(r"(?:(1) request|(\d+) requests) sent\.", online.splitlines()[-1])
            assert counted is not None
            self.sent = int(counted[1] or counted[2])
        self.errors, self.warnings = (
            [line.removeprefix(f"{kind}: ") for line in err.splitlines() if line.startswith(f"{kind}: ")]
            for kind in ("error", "warning")
        )
        self.err = err


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def check(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command with an account whose endpoint is a simulator."""

    async def run(
        service: Simulator, config: dict[str, Any], *flags: str, key: AccessKeyPair | None = None, **account: Any
    ) -> Checked:
        monkeypatch.setattr(app, "Runtime", partial(app.Runtime, now=clock, sleep=no_sleep))
        async with listening(service) as url:
            file = write(tmp_path, url, config, key or service.conditions.credentials, **account)
            status = await asyncio.to_thread(main, ["check-config", "--online", f"--config.file={file}", *flags], {})
        return Checked(status, *capsys.readouterr())

    return run


def write(folder: Path, url: str, config: dict[str, Any], key: AccessKeyPair | None = None, **account: Any) -> Path:
    key = key or AccessKeyPair()
    more = {name: value for name, value in config.items() if name == "metadata"} | account
    settings = {
        "name": "main",
        "endpoint": url,
        "credentials": {"access_key_id": key.access_key_id, "access_key_secret": key.access_key_secret},
        "limits": {"requests_per_second": 1_000},
        **more,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps({"accounts": [settings]} | {n: v for n, v in config.items() if n != "metadata"}))
    file.chmod(0o600)
    return file


def listing(ids: Sequence[str]) -> dict[str, Any]:
    return {"queries": [{"name": "listed", "media": {"ids": list(ids)}}]}


def searching(**conditions: Any) -> dict[str, Any]:
    return {"queries": [{"name": "courses", "media": {"search": conditions}}]}


async def test_where_all_is_fine_it_says_so_and_how_many_requests_it_sent(check: Any, clock: Clock) -> None:
    service = simulator(clock, media=150)
    checked = await check(service, EVERYTHING)

    assert (checked.status, checked.err) == (0, "")
    categories = len(service.library.categories.by_id)
    found = checked.results.pop(SEARCH)
    assert found.startswith("answered: finds ")
    assert int(found.split()[-2]) > 1
    assert checked.results == {
        PLAY_DATA: checked.results[PLAY_DATA],
        CATEGORIES: f"answered: {categories} categories",
        INFOS: "answered: knows 1 of 1 media ID",
        PLAYER: "answered: 286 buckets",
    }
    assert checked.results[PLAY_DATA].endswith(" videos with plays on 2026-03-16")
    counts = {action: sum(each.values()) for action, each in service.request_log.counts.items()}
    assert counts == {
        "DescribeVodMediaPlayData": 1,
        "GetCategories": counts["GetCategories"],
        "SearchMedia": 1,
        "GetVideoInfos": 1,
        "DescribeVodPlayerMetricData": 1,
    }
    assert checked.sent == sum(counts.values())


async def test_only_what_the_configuration_needs_is_requested(check: Any, clock: Clock) -> None:
    service = simulator(clock)
    checked = await check(service, {"queries": [{"name": "popular", "media": {"top": 5}}]})

    assert (checked.status, checked.err) == (0, "")
    assert [*checked.results] == [PLAY_DATA]
    assert checked.sent == 1


async def test_without_the_flag_no_request_is_sent(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = simulator(clock)
    async with listening(service) as url:
        file = write(tmp_path, url, EVERYTHING)
        assert await asyncio.to_thread(main, ["check-config", f"--config.file={file}"], {}) == 0
    assert service.request_log.counts == {}
    assert "Requests" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("DescribeVodMediaPlayData", PLAY_DATA),
        ("GetCategories", CATEGORIES),
        ("SearchMedia", SEARCH),
        ("GetVideoInfos", INFOS),
        ("DescribeVodPlayerMetricData", PLAYER),
    ],
)
async def test_a_permission_that_is_missing_is_named_and_the_others_are_tried(
    check: Any, clock: Clock, action: str, request_: str
) -> None:
    service = simulator(clock, media=150, faults=(Fault("Forbidden.RAM", when={"Action": action}),))
    checked = await check(service, EVERYTHING)

    assert checked.status == 2
    assert checked.results.pop(request_) == "failed: Forbidden.RAM"
    assert all(result.startswith("answered") for result in checked.results.values())
    assert len(checked.results) == 4
    (error,) = checked.errors
    assert error.startswith(f"account main: {request_}: Forbidden.RAM: User not authorized")
    assert error.endswith(f"Allow the RAM action vod:{action} on resource * to the user or role of these credentials.")


async def test_a_second_search_says_nothing_new_of_a_missing_permission(check: Any, clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("Forbidden.RAM", when={"Action": "SearchMedia"}),))
    queries = [{"name": name, "media": {"search": {"tags": name}}} for name in ("promo", "vip")]
    checked = await check(service, {"queries": queries, "player": [{"name": "app"}]})

    assert len(checked.errors) == 1
    assert checked.results["SearchMedia (vip)"] == "failed: Forbidden.RAM"
    assert checked.results[PLAYER].startswith("answered")
    assert checked.sent == 3


async def test_a_permission_that_only_the_check_needs_may_be_missing(check: Any, clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("Forbidden.RAM", when={"Action": "GetVideoInfos"}),))
    checked = await check(service, listing([EXAMPLE]))

    assert (checked.status, checked.errors) == (0, [])
    (warning,) = checked.warnings
    assert warning.startswith("account main: whether its media IDs exist could not be checked: Forbidden.RAM: ")
    assert "Allow the RAM action vod:GetVideoInfos" in warning


@pytest.mark.parametrize("variant", ["missing_ids:list", "missing_ids:text", "not_found:any"])
async def test_media_that_the_service_does_not_know_are_named(check: Any, clock: Clock, variant: str) -> None:
    service = simulator(clock, variants=parse_variants([variant]))
    checked = await check(service, listing([EXAMPLE, MISSING[0], MISSING[1]]))

    assert (checked.status, checked.errors) == (0, [])
    assert checked.results[INFOS] == "answered: knows 1 of 3 media IDs"
    (warning,) = checked.warnings
    assert warning == (
        f"account main: the service does not know 2 of 3 media IDs: {MISSING[0]}, {MISSING[1]}. Correct or remove them:"
        " they are shown with 0 plays for ever."
    )


@pytest.mark.parametrize("variant", ["not_found:all", "not_found:never"])
async def test_all_media_may_be_unknown(check: Any, clock: Clock, variant: str) -> None:
    service = simulator(clock, variants=parse_variants([variant]))
    checked = await check(service, listing(MISSING))

    assert checked.status == 0
    assert checked.results[INFOS] == "answered: knows 0 of 21 media IDs"
    assert (
        f"the service does not know 21 of 21 media IDs: {', '.join(MISSING[:10])} and 11 more. " in checked.warnings[0]
    )


async def test_requests_about_many_media_that_do_not_exist_end(check: Any, clock: Clock) -> None:
    service = simulator(clock, media=0)
    ids = [f"{number:032x}" for number in range(1, 2_001)]
    checked = await check(service, listing(ids))

    assert checked.sent < 100
    assert checked.results[INFOS].startswith("answered: knows 0 of ")
    assert checked.warnings[-1].startswith("account main: not checked, to limit the number of calls: ")
    assert checked.warnings[-1].endswith(" of 2,000 media IDs")


async def test_the_permission_for_metadata_is_tried_without_media(check: Any, clock: Clock) -> None:
    config = {"queries": [{"name": "popular", "media": "all"}], "metadata": {"labels": ["status"]}}
    checked = await check(simulator(clock, media=0), config)

    assert (checked.status, checked.err) == (0, "")
    assert checked.results == {PLAY_DATA: "answered: 0 videos with plays on 2026-03-16", INFOS: "answered"}


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ("Courses/Maths", "there is no category Courses/Maths"),
        ("Mathematics", "there is no category Mathematics; did you mean Courses/Mathematics?"),
        (42, "there is no category with the ID 42"),
    ],
)
async def test_categories_that_do_not_exist(check: Any, clock: Clock, category: object, text: str) -> None:
    checked = await check(simulator(clock), searching(category=[category, "Nowhere", "课程"]))

    assert checked.status == 2
    shown = checked.results[SEARCH].removeprefix("answered, but ").split(", ")
    assert {text, "there is no category Nowhere"} == set(shown)
    end = "" if text.endswith("?") else "."
    sentence = "account main: search of courses: {} Correct the category in the configuration."
    assert set(checked.errors) == {
        sentence.format(f"{text}{end}"),
        sentence.format("there is no category Nowhere."),
    }


async def test_a_category_is_looked_for_where_the_daemon_does_not_read_them_for_a_search(
    check: Any, clock: Clock
) -> None:
    """Without subcategories a search by ID needs no tree: the daemon would search and find nothing."""
    config = searching(category=[42], subcategories=False)
    config["queries"].append({"name": "other", "media": {"search": {"category": "课程"}}})
    checked = await check(simulator(clock), config)

    assert (checked.status, checked.errors) == (0, [])
    assert "search of courses: there is no category with the ID 42" in checked.warnings[0]


async def test_a_search_that_finds_nothing_is_a_warning(check: Any, clock: Clock) -> None:
    checked = await check(simulator(clock), searching(tags=["nobody"]))

    assert (checked.status, checked.errors) == (0, [])
    assert checked.results[SEARCH] == "answered: finds no media now"
    assert checked.warnings == [
        "account main: search of courses finds no media now: correct its conditions, unless such media are yet to come."
    ]


async def test_a_search_is_tried_without_the_categories_that_are_not_known(check: Any, clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("Forbidden.RAM", when={"Action": "GetCategories"}),))
    checked = await check(service, searching(category=["课程"]))

    assert checked.status == 2
    assert checked.results[SEARCH] == "answered, but not searched: its categories are not known"


async def test_one_page_of_a_long_search_is_read(check: Any, clock: Clock) -> None:
    service = simulator(clock, media=600)
    checked = await check(service, searching(status=["Normal"]))

    assert checked.results[SEARCH] == "answered: finds at least 100 videos"
    assert checked.sent == 2


class Service:
    """Answers each action with the same decoded response."""

    max_in_flight = 1

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    async def call(self, action: Action[Any], _: Mapping[str, str]) -> Any:
        return self.answers[action.name]


async def checked_with(config: dict[str, Any], **answers: Any) -> AccountCheck:
    queries = loads(json.dumps(config), file="config.yaml", environ={}).core_queries()
    answers["DescribeVodMediaPlayData"] = Page((), None, "")
    check = AccountCheck(AccountNeeds("default", queries, (), ()), Service(answers), lambda: NOON)
    await check.run()
    return check


async def test_media_that_no_response_mentions_are_not_called_missing() -> None:
    infos = VideoInfos((MediaDetails(EXAMPLE),), frozenset())
    check = await checked_with(listing([EXAMPLE, MISSING[0]]), GetVideoInfos=infos)

    assert check.lines[-1] == (INFOS, "answered: knows 1 of 2 media IDs")
    (warning,) = check.warnings
    assert warning == (
        f"account default: the service reports neither details nor absence of 1 of 2 media IDs: {MISSING[0]}. They may"
        " belong to an application that these credentials may not read."
    )


async def test_hits_that_do_not_fulfil_the_conditions_are_not_counted() -> None:
    """The service may find tags by a part of them: hits that were not read may be others."""
    hits = tuple(MediaDetails(each, tags=("promo",), created_at=1.0) for each in MISSING)
    page = SearchPage(hits, total=500)
    check = await checked_with(searching(tags=["prom"]), SearchMedia=page)

    assert check.lines[-1] == (SEARCH, "answered: none of the first 21 hits fulfils all conditions")
    assert (check.errors, check.warnings) == ([], [])

    check = await checked_with(searching(tags=["prom"]), SearchMedia=replace(page, total=21))
    assert "finds no media now" in check.warnings[0]


async def test_a_response_that_cannot_be_used_is_an_error() -> None:
    check = await checked_with(searching(tags=["prom"]), SearchMedia=SearchPage((), total=500))

    assert check.lines[-1] == (SEARCH, "failed: malformed")
    assert "the search returned no media and did not count 0" in check.errors[0]


async def test_a_wrong_key_is_one_error(check: Any, clock: Clock) -> None:
    checked = await check(simulator(clock), EVERYTHING, key=AccessKeyPair("simulator", "another-secret"))

    assert checked.status == 2
    assert [*checked.results.values()] == ["failed: SignatureDoesNotMatch", *["not tried"] * 4]
    (error,) = checked.errors
    assert error.startswith(f"account main: {PLAY_DATA}: SignatureDoesNotMatch: ")
    assert error.endswith("Check that the AccessKey secret belongs to the AccessKey ID and was copied whole.")
    assert "another-secret" not in checked.out + checked.err
    assert checked.sent == 1


async def test_a_key_that_does_not_exist(check: Any, clock: Clock) -> None:
    checked = await check(simulator(clock), EVERYTHING, key=AccessKeyPair("nobody", "secret"))

    assert checked.results[PLAY_DATA] == "failed: InvalidAccessKeyId.NotFound"
    assert "Check the AccessKey in the RAM console" in checked.errors[0]


def test_a_network_that_is_down_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "Runtime", partial(app.Runtime, sleep=no_sleep))
    file = write(tmp_path, "http://127.0.0.1:1", EVERYTHING)
    checked = Checked(main(["check-config", "--online", f"--config.file={file}"], {}), *capsys.readouterr())

    assert checked.status == 2
    assert [*checked.results.values()] == ["failed: connect", *["not tried"] * 4]
    (error,) = checked.errors
    assert error.endswith("Check that host and port are right, and check firewalls and routes in between.")
    assert checked.sent == 4


def test_a_proxy_that_is_down_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "Runtime", partial(app.Runtime, sleep=no_sleep))
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass-word@127.0.0.1:1")
    file = write(tmp_path, "http://vod.test:1", EVERYTHING)
    checked = Checked(main(["check-config", "--online", f"--config.file={file}"], {}), *capsys.readouterr())

    assert checked.status == 2
    assert "127.0.0.1:1" in checked.errors[0]
    assert "HTTP_PROXY" in checked.errors[0]
    assert "pass-word" not in checked.out + checked.err


async def test_what_lasts_too_long_is_named() -> None:
    queries = [*searching(tags=["promo"])["queries"], *listing([EXAMPLE])["queries"]]
    needs = AccountNeeds("main", loads(json.dumps({"queries": queries}), file="", environ={}).core_queries(), (), ())
    stalled = asyncio.Event()

    class Stalling(Service):
        async def call(self, action: Action[Any], parameters: Mapping[str, str], /) -> Any:
            if action.name == "SearchMedia":
                stalled.set()
                await asyncio.Event().wait()
            return await super().call(action, parameters)

    check = AccountCheck(needs, Stalling({PLAY_DATA: Page((), None, "")}), lambda: NOON)
    running = asyncio.create_task(check.run())
    await stalled.wait()
    running.cancel()
    check.stop(2.0)

    assert [result for _, result in check.lines[1:]] == ["not checked", "not checked"]
    (error,) = check.errors
    assert error == (
        f"account main: {SEARCH}, {INFOS}: not checked within 2s. Check the network path to the endpoint, or raise"
        " --online.timeout."
    )


async def test_the_time_of_all_requests_is_limited(clock: Clock) -> None:
    account = {
        "name": "main",
        "endpoint": "http://127.0.0.1:1",
        "credentials": {"access_key_id": "k", "access_key_secret": "s"},
    }
    config = loads(json.dumps({"accounts": [account], **listing([EXAMPLE])}), file="", environ={})

    online = await check_online(config, app.Runtime({}, clock, clock, no_sleep), 0.0)

    assert [result for _, _, result in online.lines] == ["not checked", "not checked"]
    assert online.errors[0].startswith(f"account main: {PLAY_DATA}, {INFOS}: not checked within ")


async def test_a_key_file_that_is_missing_is_an_error_of_the_check(check: Any, clock: Clock, tmp_path: Path) -> None:
    files = {"access_key_id": "simulator", "access_key_secret_file": f"{tmp_path}/none"}
    checked = await check(simulator(clock), listing([EXAMPLE]), credentials=files)

    assert checked.status == 2
    assert checked.sent == 0
    assert f"{tmp_path}/none" in checked.errors[0]


async def test_the_daily_quota_holds(check: Any, clock: Clock) -> None:
    service = simulator(clock)
    checked = await check(service, EVERYTHING, limits={"calls_per_day": 1})

    assert checked.sent == 1
    assert checked.results[CATEGORIES] == "failed: calls_per_day"
    assert checked.results[PLAYER] == "not tried"
    assert checked.status == 2


async def test_no_request_is_sent_where_serve_would_not_start(check: Any, clock: Clock) -> None:
    service = simulator(clock)
    checked = await check(service, EVERYTHING, "--storage.path=/dev/null")

    assert checked.status == 2
    assert checked.warnings[-1] == "--online sent no request: correct the errors first"
    assert service.request_log.counts == {}


def test_it_needs_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "http://127.0.0.1:1", EVERYTHING)
    assert main(["check-config", "--online", "--syntax-only", f"--config.file={file}"], {}) == 2
    assert "--online makes calls with the keys that --syntax-only does not need" in capsys.readouterr().err


async def test_several_accounts_are_checked_and_an_unused_one_is_not(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "Runtime", partial(app.Runtime, now=clock, sleep=no_sleep))
    service = simulator(clock)
    key = {"access_key_id": "simulator", "access_key_secret": "simulator-secret"}
    async with listening(service) as url:
        accounts = [
            {"name": name, "endpoint": url, "credentials": {**key, **more}}
            for name, more in (("a", {}), ("b", {"access_key_secret": "wrong-secret"}), ("unused", {}))
        ]
        queries = [{"name": name, "account": name, "media": "all"} for name in "ab"]
        (tmp_path / "config.yaml").write_text(json.dumps({"accounts": accounts, "queries": queries}))
        argv = ["check-config", "--online", f"--config.file={tmp_path}/config.yaml"]
        status = await asyncio.to_thread(main, argv, {})

    checked = Checked(status, *capsys.readouterr())
    assert checked.status == 2
    assert checked.accounts == {"a", "b"}
    assert [error.partition(":")[0] for error in checked.errors] == ["account b"]
