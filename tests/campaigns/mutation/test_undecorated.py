from __future__ import annotations

from tests.campaigns.mutation.undecorated import undecorated

DECORATED = '''
from contextlib import contextmanager
from functools import lru_cache


class Box:
    """Holds a thing."""

    @property
    def size(self):
        """How big it is."""
        return self.length * 2

    length = 3

    @staticmethod
    def plain():
        return 1


@contextmanager
def opened(box):
    @lru_cache(8)
    def seen(n):
        return n + box.size

    yield seen


@lru_cache(8)
def squared(n):
    return n * n


@contextmanager
@lru_cache
def twice():
    yield
'''


def test_what_was_decorated_does_the_same_when_its_decorator_is_applied_below_it() -> None:
    names: dict[str, object] = {}
    exec(undecorated(DECORATED), names)  # noqa: S102 - to run it is to see that it still runs

    box = names["Box"]()  # type: ignore[operator]
    assert (box.size, box.plain()) == (6, 1)
    with names["opened"](box) as seen:  # type: ignore[operator]
        assert seen(1) == 7
        assert seen.cache_info().maxsize == 8
    assert not hasattr(names["squared"], "cache_info")


def test_only_what_can_be_applied_later_is_moved() -> None:
    text = undecorated(DECORATED)

    assert "@property" not in text
    assert "    size = property(size)\n" in text
    assert "    @staticmethod\n" in text
    assert "@contextmanager\n@lru_cache\ndef twice" in text


def test_what_has_no_decorator_stays_as_it_is() -> None:
    assert undecorated("x = 1\n\n\ndef f():\n    return x\n") == "x = 1\n\n\ndef f():\n    return x\n"
