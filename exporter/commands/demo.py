"""Run simulator and exporter on loopback with a built-in configuration, and print the URLs to open."""

from __future__ import annotations

import asyncio
import sys
import time
from string import Template
from typing import TYPE_CHECKING, Final

from exporter import app
from exporter.commands.loop_signals import stop_on_signal
from exporter.config.loader import loads
from exporter.core import play_dates
from exporter.simulator.access_keys import SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET
from exporter.simulator.generated_media import most_played
from exporter.simulator.incidents import collapse, last_settled_days_ago
from exporter.simulator.options import SimulatorOptions
from exporter.simulator.service import Simulator
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from exporter.config.schema import Config

# A typical configuration of a small team, with shorter intervals so that a user sees changes soon.
_CONFIGURATION: Final = Template("""
accounts:
  - name: demo
    endpoint: $endpoint
    credentials: {access_key_id: $access_key_id, access_key_secret: $access_key_secret}
    limits: {requests_per_second: 100, concurrency: 4}
    metadata: {labels: [category, status], tags: [promo]}
queries:
  - name: catalogue
    every: 20s
    media: all
    dimensions:
      - {}
      - {terminal_type: [Native, Web]}
      - {os: [Android, iOS, Windows, macOS, Linux]}
      - {region: [cn-beijing, cn-shanghai, cn-shenzhen, ap-northeast-1, ap-southeast-1, ap-southeast-5, eu-central-1]}
    days_ago: [0, 1, 2, 8, 9]
  - name: last-30-days
    every: 5m
    media: {top: 20, by: plays}
    days_ago: [$last_30_days]
  - name: promoted-courses
    every: 20s
    media: {search: {category: [课程, Courses], tags: [promo], every: 5m}}
    days_ago: [1, 8]
    expected: false
settle: {unchanged: 1}
""")

_OPEN: Final = Template("""
The simulated service: $simulator   (access key $access_key_id)
The exporter:          $exporter

  curl $exporter$metrics     what Prometheus scrapes
  $exporter/                 the state at a glance
  $exporter/-/ready          whether the first poll has ended

$incident
Some others have less than half of the plays of a week before: they are new, and new videos lose plays.
  aliyun_vod_media_plays{days_ago="1",terminal_type="all",os="all",region="all"}
    / ignoring(days_ago) aliyun_vod_media_plays{days_ago="8"} < 0.5

Media have categories, tags and ages, by which the page filters. Plays of yesterday by category:
  sum by (category) (aliyun_vod_media_plays{days_ago="1",terminal_type="all",os="all",region="all"}
    * on (account, media_id) group_left (category) aliyun_vod_media_metadata_info)

Ctrl-C ends it.
""")

_INCIDENT: Final = Template("""One video lost nearly all its plays on $day: $title
Within a minute that day is settled. The page then lists it first, and Prometheus finds it with
  aliyun_vod_media_settled_plays{terminal_type="all",os="all",region="all"}
    / (aliyun_vod_media_settled_plays_expected >= 100) < 0.32
""")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve both until SIGTERM or SIGINT. Raises StartError."""
    asyncio.run(_serve(arguments, environ))
    return 0


async def _serve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    # On the newest day that can settle now: on the day after the incident, expected plays would be low already.
    since = play_dates.play_date(time.time(), last_settled_days_ago(time.time()))
    simulator = Simulator(SimulatorOptions(media=arguments.media, incidents=(collapse(0, since),)))
    row = simulator.dataset.row(most_played(0), since, now=time.time())
    incident = _INCIDENT.substitute(day=since, title=row.title) if row else ""
    with bound(["127.0.0.1:0"]) as sockets:
        (endpoint,) = urls(sockets)
        async with stop_on_signal() as stop, serving(simulator.app, sockets, date_header=False):
            try:
                await app.serve(
                    _configuration(endpoint),
                    app.Runtime(environ),
                    listen=arguments.listen,
                    telemetry_path=arguments.telemetry_path,
                    stop=stop,
                    listening=lambda urls: _print_urls(endpoint, urls[0], arguments.telemetry_path, incident),
                )
            finally:
                simulator.close()


def _configuration(endpoint: str) -> Config:
    text = _CONFIGURATION.substitute(
        endpoint=endpoint,
        access_key_id=SIMULATOR_ACCESS_KEY_ID,
        access_key_secret=SIMULATOR_ACCESS_KEY_SECRET,
        last_30_days=", ".join(map(str, range(play_dates.OLDEST_DAYS_AGO))),
    )
    return loads(text, file="demo.yaml", environ={})


def _print_urls(simulator: str, exporter: str, telemetry_path: str, incident: str) -> None:
    text = _OPEN.substitute(
        simulator=simulator,
        exporter=exporter,
        metrics=telemetry_path,
        access_key_id=SIMULATOR_ACCESS_KEY_ID,
        incident=incident,
    )
    sys.stdout.write(text)
    sys.stdout.flush()
