from __future__ import annotations

from types import MappingProxyType

from exporter.core.media_details import AccountMetadata, Category, CategoryTree, MediaDetails, MetadataRules
from exporter.core.metadata import MetadataPublisher, category_path, due_media
from exporter.core.publication import PublicationRules, PublishedMedia, PublishedMetadata
from exporter.core.sharding import MediaInfoOwnership

NOW = 100_000.0
RULES = PublicationRules((), 1.0, 1, metadata={"main": MetadataRules(60.0, ("category", "status"), ("a", "x"))})
MEDIA = tuple(PublishedMedia("main", each, None, None) for each in ("m1", "m2", "gone", "unknown"))
ABOUT = AccountMetadata(
    {
        "m1": MediaDetails("m1", "t", 2, "old name", ("a", "b"), "Normal", 5.0),
        "m2": MediaDetails("m2"),
    },
    frozenset({"gone"}),
    CategoryTree([Category(1, "课程", None, 0), Category(2, "数学", 1, 1)]),
)


def published(rules: PublicationRules = RULES) -> MetadataPublisher:
    publisher = MetadataPublisher()
    publisher.update(MEDIA, {"main": ABOUT}, rules)
    return publisher


def test_labels_tags_creation_and_deletion() -> None:
    publisher = published()
    labels = (("category_id", "2"), ("category", "课程/数学"), ("status", "Normal"))
    empty = (("category_id", ""), ("category", ""), ("status", ""))
    assert publisher.media == (
        PublishedMetadata("main", "m1", labels, ("a",), 5.0),
        PublishedMetadata("main", "m2", empty),
        PublishedMetadata("main", "gone", deleted=True),
    )
    assert publisher.series == 3 + 1 + 1
    categories = [(each.account, each.path, each.category.level) for each in publisher.categories]
    assert categories == [("main", "课程", 0), ("main", "课程/数学", 1)]


def test_nothing_is_published_before_the_first_update() -> None:
    publisher = MetadataPublisher()
    assert (publisher.media, publisher.categories, publisher.series) == ((), (), 0)


def test_labels_are_in_the_order_of_the_rules() -> None:
    rules = PublicationRules((), 1.0, 1, metadata={"main": MetadataRules(60.0, ("status", "category"), ())})
    assert [name for name, _ in published(rules).media[0].labels] == ["status", "category_id", "category"]


def test_a_deleted_media_keeps_what_was_known_about_it() -> None:
    about = AccountMetadata({"m1": MediaDetails("m1", title="t")}, frozenset({"m1"}))
    publisher = MetadataPublisher()
    publisher.update(MEDIA, {"main": about}, RULES)
    (media,) = publisher.media
    assert (media.media_id, media.deleted, bool(media.labels)) == ("m1", True, True)


def test_a_category_that_the_tree_lacks_has_its_name_alone() -> None:
    details = MediaDetails("m", category_id=9, category="name")
    assert [category_path(details, tree) for tree in (ABOUT.tree, None)] == ["name", "name"]
    assert category_path(MediaDetails("m"), ABOUT.tree) is None


def test_the_same_input_gives_the_same_objects() -> None:
    publisher, metadata = MetadataPublisher(), MappingProxyType({"main": ABOUT})
    publisher.update(MEDIA, metadata, RULES)
    media = publisher.media
    publisher.update(MEDIA, metadata, RULES)
    assert publisher.media is media


def test_accounts_without_rules_and_other_replicas_publish_nothing() -> None:
    assert published(PublicationRules((), 1.0, 1)).media == ()
    none = PublicationRules(
        (),
        1.0,
        1,
        media_info_ownership={"main": MediaInfoOwnership(all=False, but=frozenset({"m2"}))},
        metadata=RULES.metadata,
        category_accounts=frozenset(),
    )
    assert [each.media_id for each in published(none).media] == ["m2"]
    assert published(none).categories == ()


def test_due_media_are_unknown_or_old_or_from_the_future() -> None:
    about = AccountMetadata(
        {
            "new": MediaDetails("new", observed_at=NOW - 1),
            "old": MediaDetails("old", observed_at=NOW - 60),
            "future": MediaDetails("future", observed_at=NOW + 60),
        },
        frozenset({"gone"}),
    )
    assert due_media(["now"], AccountMetadata({"now": MediaDetails("now", observed_at=NOW)}), 60.0, NOW) == ([], [])
    first = AccountMetadata({"a": MediaDetails("a", observed_at=0.5)})
    assert due_media(["a", "unknown"], first, 60.0, NOW) == (["unknown", "a"], [])
    wanted = ["new", "old", "future", "unknown", "gone"]
    assert due_media(wanted, about, 60.0, NOW) == (["future", "unknown", "old"], ["gone"])
    assert due_media(["a"], None, 60.0, NOW) == (["a"], [])
