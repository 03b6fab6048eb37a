"""Metrics about ourselves as bytes: a family is encoded again when it has changed, not when it is scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.exposition.gzip_segments import compress_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import Collector

    from exporter.exposition.gzip_segments import DeflateSegment

    Encode = Callable[[Collector], bytes]

# What the kernel and the interpreter say of the process is read no more often; to read it takes as long as the rest.
SAMPLED_SECONDS: Final = 1.0
_EOF: Final = b"# EOF\n"


class EncodedCollectors:
    """What collectors tell, spelt in each of the formats that is asked for.

    * `ours`: tell something else only after `changed` was called for them.
    * `sampled`: may tell something else at any time, and are asked once in SAMPLED_SECONDS.
    """

    def __init__(
        self, ours: Iterable[Collector], sampled: Iterable[Collector], *, monotonic: Callable[[], float]
    ) -> None:
        self._ours = tuple(ours)
        self._sampled = tuple(sampled)
        self._monotonic = monotonic
        # By content type; there are as many as we offer.
        self._known: dict[str, _Known] = {}

    def invalidate(self, collector: Collector) -> None:
        """One of ours tells something else."""
        for known in self._known.values():
            known.families.pop(collector, None)
            known.whole = None

    def encode(self, content_type: str, encode: Encode) -> DeflateSegment:
        """Everything, as the encoder of a content type spells it; the same object as long as nothing has changed."""
        now = self._monotonic()
        known = self._known.setdefault(content_type, _Known())
        if known.sampled_at is None or not known.sampled_at <= now < known.sampled_at + SAMPLED_SECONDS:
            known.sampled_at, known.whole = now, None
            known.sample = b"".join(map(_encoding(encode), self._sampled))
        if known.whole is None:
            for collector in self._ours:
                if collector not in known.families:
                    known.families[collector] = _encoding(encode)(collector)
            end = _EOF if encode(_Nothing()) == _EOF else b""
            ours = b"".join(known.families[collector] for collector in self._ours)
            known.whole = compress_segment(ours + known.sample + end)
        return known.whole


class _Known:
    """What was encoded already in one format."""

    def __init__(self) -> None:
        self.families: dict[Collector, bytes] = {}
        self.sample = b""
        self.sampled_at: float | None = None
        self.whole: DeflateSegment | None = None


class _Nothing:
    """A collector that has nothing to tell: what is encoded of it is how a format ends."""

    def collect(self) -> Iterable[Metric]:
        return ()


class _WithoutCreated:
    """A collector without the `_created` samples of the client library, which nobody reads."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Metric]:
        return without_created(self._collector.collect())


def without_created(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """Leave out `_created` samples; the library itself leaves them out only for the whole process at once."""
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        yield metric


def _encoding(encode: Encode) -> Callable[[Collector], bytes]:
    return lambda collector: encode(_WithoutCreated(collector)).removesuffix(_EOF)
