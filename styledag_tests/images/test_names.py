from styledag.collect.records import Origin
from styledag.images.names import find_named
from styledag.images.records import CuratedImage


def image(name: str, url: str, copies: tuple[str, ...] = ()) -> CuratedImage:
    return CuratedImage(
        origin=Origin(url=url),
        raw_sha256=f"raw {name}",
        sha256=name,
        width_px=1,
        height_px=1,
        raw_width_px=1,
        raw_height_px=1,
        crop_left_px=0,
        crop_top_px=0,
        family=name,
        family_size=1,
        copies=copies,
    )


ONE = image("one", "https://a.example/x/red%20fox.png?size=7", ("deep/copy.png",))
TWO = image("two", "deep/red fox.png")


def test_an_image_is_found_by_each_of_its_names() -> None:
    names = ["one", "raw two", ONE.origin.url, "deep/copy.png", "copy.png", "red%20fox.png", "no"]
    found = find_named(names, [ONE, TWO])
    assert list(found.values()) == [[ONE], [TWO], [ONE], [ONE], [ONE], [ONE], []]


def test_blanks_around_a_name_mean_nothing_unless_the_file_has_them() -> None:
    lead = image("four", "deep/ lead.png")
    found = find_named([" lead.png", " red fox.png ", "lead.png"], [TWO, lead])
    assert found == {" lead.png": [lead], " red fox.png ": [TWO], "lead.png": []}


def test_an_address_comes_before_a_file_name_and_several_are_all_found() -> None:
    clash = image("three", "copy.png")
    found = find_named(["copy.png", "red fox.png"], [ONE, TWO, clash])
    assert found == {"copy.png": [clash], "red fox.png": [ONE, TWO]}


def test_a_name_in_another_case_or_unicode_form_is_found_if_one_alone_is_alike() -> None:
    """macOS takes letters and accents apart, and Windows forgets the case."""
    apart = image("apart", "deep/gro\u0308\u00dfe.png")
    found = find_named(["gr\u00f6\u00dfe.png", "Red Fox.PNG", "red fox.png"], [apart, TWO])
    assert list(found.values()) == [[apart], [TWO], [TWO]]
    other = image("other", "deep/Red Fox.png")
    assert find_named(["RED FOX.png", "Red Fox.png"], [TWO, other]) == {
        "RED FOX.png": [],
        "Red Fox.png": [other],
    }
