"""The exporter's own metrics as bytes: a family is encoded again when it has changed, not on each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.exposition.gzip_segments import compress_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import Collector

    from exporter.exposition.gzip_segments import DeflateSegment

    Encode = Callable[[Collector], bytes]

# Metrics of the process and the interpreter are collected at most this often: it takes as long as all the rest.
SAMPLED_SECONDS: Final = 1.0
_EOF: Final = b"# EOF\n"


class EncodedCollectors:
    """The output of collectors, encoded in each requested format. The collections may still grow.

    * `ours`: their values change only together with a call of `invalidate`.
    * `sampled`: their values may change at any time; they are collected once in SAMPLED_SECONDS.
    * `optional`: those of `ours` that are left out, headers included, while they have no series.
    """

    def __init__(
        self,
        ours: Collection[Collector],
        sampled: Collection[Collector],
        *,
        monotonic: Callable[[], float],
        optional: Collection[Collector] = (),
    ) -> None:
        self._ours = ours
        self._optional = optional
        self._sampled = sampled
        self._monotonic = monotonic
        # By content type; only those that are offered occur.
        self._formats: dict[str, _CachedFormat] = {}

    def invalidate(self, collector: Collector) -> None:
        """The values of one of `ours` have changed."""
        for cached in self._formats.values():
            cached.families.pop(collector, None)
            cached.whole = None

    def encode(self, content_type: str, encode: Encode) -> DeflateSegment:
        """All metrics as the encoder of a content type writes them; the same object while nothing has changed."""
        now = self._monotonic()
        cached = self._formats.setdefault(content_type, _CachedFormat())
        if cached.sampled_at is None or not cached.sampled_at <= now < cached.sampled_at + SAMPLED_SECONDS:
            cached.sampled_at, cached.whole = now, None
            cached.sample = b"".join(map(_encoding(encode), self._sampled))
        if cached.whole is None:
            for collector in self._ours:
                if collector not in cached.families:
                    left_out = collector in self._optional and not _has_samples(collector)
                    cached.families[collector] = b"" if left_out else _encoding(encode)(collector)
            end = _EOF if encode(_NoMetrics()) == _EOF else b""
            ours = b"".join(cached.families[collector] for collector in self._ours)
            cached.whole = compress_segment(ours + cached.sample + end)
        return cached.whole


class _CachedFormat:
    """The cached encoding in one format."""

    def __init__(self) -> None:
        self.families: dict[Collector, bytes] = {}
        self.sample = b""
        self.sampled_at: float | None = None
        self.whole: DeflateSegment | None = None


class _NoMetrics:
    """A collector without metrics: its encoding is the end marker of a format."""

    def collect(self) -> Iterable[Metric]:
        return ()


class _WithoutCreated:
    """A collector without the `_created` samples that the client library adds."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Metric]:
        return without_created(self._collector.collect())


def _has_samples(collector: Collector) -> bool:
    return any(metric.samples for metric in collector.collect())


def without_created(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """Leave out `_created` samples; the library itself can do so only for the whole process."""
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        yield metric


def _encoding(encode: Encode) -> Callable[[Collector], bytes]:
    return lambda collector: encode(_WithoutCreated(collector)).removesuffix(_EOF)
