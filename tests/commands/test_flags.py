from __future__ import annotations

import argparse

import pytest

from exporter.commands import flags


@pytest.mark.parametrize(
    ("argv", "prefix"),
    [
        ([], ""),
        (["--web.external-url="], ""),
        (["--web.external-url=https://monitoring.example.com"], ""),
        (["--web.external-url=https://monitoring.example.com/"], ""),
        (["--web.external-url=https://monitoring.example.com/vod"], "/vod"),
        (["--web.external-url=http://[::1]:8080/a/b/"], "/a/b"),
        (["--web.external-url=/vod/"], "/vod"),
        (["--web.external-url=https://x/vod", "--web.route-prefix=/"], ""),
        (["--web.external-url=https://x/vod", "--web.route-prefix="], "/vod"),
        (["--web.external-url=https://x/vod", "--web.route-prefix=/other"], "/other"),
        (["--web.route-prefix=vod"], "/vod"),
        (["--web.route-prefix=/vod/"], "/vod"),
        (["--web.route-prefix=/a.b-c_d~1/e"], "/a.b-c_d~1/e"),
    ],
)
def test_the_prefix_is_the_path_of_the_external_url_unless_given(argv: list[str], prefix: str) -> None:
    parser = argparse.ArgumentParser()
    flags.external_url(parser)

    assert flags.parse_prefix(parser.parse_args(argv)) == prefix
