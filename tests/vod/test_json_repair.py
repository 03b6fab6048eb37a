from __future__ import annotations

import pytest

from exporter.vod.json_repair import attempts

LARGEST = 512 * 1024


@pytest.mark.parametrize(("length", "repaired"), [(LARGEST, True), (LARGEST + 1, False)])
def test_values_are_replaced_in_bodies_up_to_512_kib(length: int, repaired: bool) -> None:  # noqa: FBT001 - parametrized
    body = b'{"a": NaN, "b": "%b"}'
    body %= b"x" * (length - len(body) + 2)
    assert len(body) == length

    found = list(attempts(body))

    assert found == [(body, True), *([(body.replace(b"NaN", b"true"), False)] if repaired else [])]
