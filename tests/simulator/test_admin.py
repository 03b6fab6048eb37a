from __future__ import annotations

from typing import Any

import pytest

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.calendar import day_at
from exporter.simulator.generated_media import most_played
from exporter.simulator.incidents import collapse, parse_incident
from exporter.simulator.variants import CHOICES, Variants
from tests.simulator.clients import (
    PAGE,
    Client,
    Clock,
    client_of,
    simulator,
)

CONDITIONS = "/_admin/conditions"
CALLS = "/_admin/calls"


async def test_conditions_are_listed_without_secrets(clock: Clock) -> None:
    service = simulator(clock, admin=True, credentials=AccessKeyPair("key", "hush", "hush"))
    async with client_of(service, clock) as client:
        response = await client.http.get(CONDITIONS)
    assert response.json() == {
        "credentials": {"access_key_id": "key"},
        "token_expired": False,
        "clock_offset": 0.0,
        "latency": 0.0,
        "rate": 0.0,
        "wait_header": "x-acs-retry-after",
        "faults": [],
        "recover_on": None,
        "variants": {name: allowed[0] for name, allowed in CHOICES.items()},
    }


async def test_faults_can_be_changed_while_the_simulator_runs(clock: Clock) -> None:
    async with client_of(simulator(clock, admin=True), clock) as client:
        changed = await client.http.patch(CONDITIONS, json={"faults": [{"code": "Meter.ReadyTsError", "times": 1}]})
        assert changed.json()["faults"] == [
            {"code": "Meter.ReadyTsError", "rate": 1.0, "when": {}, "times": 1, "wait": None}
        ]
        assert [(await client.request()).status_code for _ in range(2)] == [502, 200]
        await client.http.patch(CONDITIONS, json={"faults": [{"code": "html"}]})
        await client.http.patch(CONDITIONS, json={"faults": []})
        assert (await client.request()).status_code == 200


async def test_variants_can_be_changed_while_the_simulator_runs(clock: Clock) -> None:
    service = simulator(clock, admin=True)
    async with client_of(service, clock) as client:
        changed = await client.http.patch(CONDITIONS, json={"variants": {"tags": "substring"}})
    assert changed.json()["variants"]["tags"] == "substring"
    assert service.conditions.variants == Variants(tags="substring")


async def test_credentials_can_be_replaced_and_tokens_expire(clock: Clock) -> None:
    new = AccessKeyPair("new", "secret", "token")
    async with client_of(simulator(clock, admin=True), clock) as client:
        given = {"access_key_id": "new", "access_key_secret": "secret", "security_token": "token"}
        assert (await client.http.patch(CONDITIONS, json={"credentials": given})).status_code == 200
        assert (await client.request()).json()["Code"] == "InvalidAccessKeyId.NotFound"
        assert (await client.request(credentials=new)).status_code == 200
        await client.http.patch(CONDITIONS, json={"token_expired": True})
        assert (await client.request(credentials=new)).json()["Code"] == "InvalidSecurityToken.Expired"


async def test_incidents_are_over_on_the_given_day(clock: Clock) -> None:
    service = simulator(clock, admin=True, incidents=(collapse(0, day_at(clock.now, 3)),))

    async def plays(client: Client, days_ago: int) -> int:
        parameters = {**PAGE, "PlayDate": f"{day_at(clock.now, days_ago):%Y%m%d}"}
        rows = (await client.request(parameters)).json()["QoeInfoList"]
        (found,) = (int(row["PlaySuccessVv"]) for row in rows if row["MediaId"] == most_played(0))
        return found

    async with client_of(service, clock) as client:
        before, first, last = [await plays(client, days_ago) for days_ago in (4, 3, 2)]
        assert before > 5 * first
        response = await client.http.patch(CONDITIONS, json={"recover_on": str(day_at(clock.now, 2))})
        assert response.json()["recover_on"] == str(day_at(clock.now, 2))
        assert [await plays(client, days_ago) for days_ago in (4, 3)] == [before, first], "earlier days are unchanged"
        assert await plays(client, 2) > 5 * last
        await client.http.patch(CONDITIONS, json={"recover_on": None})
        assert await plays(client, 2) == last


async def test_incidents_are_listed_as_labels(clock: Clock) -> None:
    service = simulator(clock, admin=True, incidents=(parse_incident("os:iOS:-40%@3..2", seed=0, now=clock.now),))
    async with client_of(service, clock) as client:
        response = await client.http.get("/_admin/incidents")
        assert (await client.http.post("/_admin/incidents")).status_code == 405
    assert response.json() == [
        {
            "kind": "os",
            "change": -0.4,
            "first": str(day_at(clock.now, 3)),
            "last": str(day_at(clock.now, 2)),
            "media_id": None,
            "terminal_type": None,
            "os": "iOS",
            "region": None,
            "since": 0,
            "until": 86400,
        }
    ]


async def test_incidents_can_be_replaced_while_the_simulator_runs(clock: Clock) -> None:
    parameters = {**PAGE, "PlayDate": f"{day_at(clock.now, 2):%Y%m%d}"}

    async def plays(client: Client) -> int:
        return sum(int(row["PlaySuccessVv"]) for row in (await client.request(parameters)).json()["QoeInfoList"])

    async with client_of(simulator(clock, admin=True), clock) as client:
        usual = await plays(client)
        replaced = await client.http.put("/_admin/incidents", json=["account:-50%@2"])
        assert [each["kind"] for each in replaced.json()] == ["account"]
        assert await plays(client) == pytest.approx(usual / 2, rel=0.02)
        for wrong, message in (
            ('["account@99"]', "'99' is neither a number of days ago"),
            (f'["removal:{32 * "a"}@1"]', "the account has no video"),
            ('"account@1"', "Expected `array`"),
            ("[1]", "Expected `str`"),
            ("", "truncated"),
        ):
            response = await client.http.put("/_admin/incidents", content=wrong)
            assert (response.status_code, message in response.json()["error"]) == (400, True), response.text
        assert (await client.http.get("/_admin/incidents")).json() == replaced.json(), "a wrong one changes nothing"
        await client.http.put("/_admin/incidents", json=[])
        assert await plays(client) == usual


async def test_a_patch_changes_only_the_given_conditions(clock: Clock) -> None:
    service = simulator(clock, admin=True, wait_header="none")
    async with client_of(service, clock) as client:
        await client.http.patch(CONDITIONS, json={"clock_offset": -1000, "rate": 5})
        assert (await client.request()).json()["Code"] == "InvalidTimeStamp.Expired"
    assert service.conditions.wait_header == "none"
    assert service.conditions.rate == 5


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("{", "truncated"),
        (f'{{"rate": {"[" * 100_000}', "nested too deeply"),
        ("[]", "Expected `object`"),
        ('{"speed": 1}', "speed is not one of credentials, token_expired,"),
        ('{"latency": "fast"}', "$.latency"),
        ('{"latency": -1}', "latency must be a number from 0"),
        ('{"rate": -1}', "rate must be a number from 0"),
        ('{"clock_offset": 1e12}', "clock_offset must be seconds within a year"),
        ('{"wait_header": "soon"}', "wait_header"),
        ('{"variants": {"tags": "soon"}}', "$.variants.tags"),
        ('{"variants": {"tag": "words"}}', "variants.tag is not one of numbers,"),
        ('{"faults": {"html": 1}}', "$.faults"),
        ('{"faults": [{"code": "typo"}]}', "'typo' is not one of"),
        ('{"faults": [{"code": "html", "odds": 1}]}', "faults[0].odds is not one of code, rate"),
        ('{"recover_on": "tomorrow"}', "$.recover_on"),
        ('{"credentials": {"access_key_id": ""}}', "must not be empty"),
        ('{"credentials": {"access_key": "x"}}', "credentials.access_key is not one of"),
    ],
)
async def test_an_invalid_patch_changes_nothing(clock: Clock, patch: str, message: str) -> None:
    service = simulator(clock, admin=True)
    before = service.conditions
    async with client_of(service, clock) as client:
        response = await client.http.patch(CONDITIONS, content=patch)
    assert response.status_code == 400
    assert message in response.json()["error"]
    assert service.conditions is before


async def test_calls_are_counted_listed_and_cleared(clock: Clock) -> None:
    async with client_of(simulator(clock, admin=True), clock) as client:
        request_id = (await client.request()).json()["RequestId"]
        await client.request({"PageSize": "5"})
        document: dict[str, Any] = (await client.http.get(CALLS)).json()
        assert document["counts"] == {"DescribeVodMediaPlayData": {"OK": 1, "Meter.ParamError": 1}}
        assert document["calls"][0] == {
            "at": clock.now,
            "request_id": request_id,
            "action": "DescribeVodMediaPlayData",
            "parameters": PAGE,
            "outcome": "OK",
        }
        assert document["calls"][1]["parameters"] == {"PageSize": "5"}
        assert (await client.http.delete(CALLS)).status_code == 204
        assert (await client.http.get(CALLS)).json() == {"counts": {}, "calls": []}


async def test_a_wrong_method_is_rejected_with_the_allowed_ones(clock: Clock) -> None:
    async with client_of(simulator(clock, admin=True), clock) as client:
        response = await client.http.post(CONDITIONS)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, PATCH"
