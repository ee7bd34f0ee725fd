"""What becomes of the finds: actions, counts, tidy text, and that masking twice is masking once."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from personal import mask, settings

from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.personal.masking import KINDS, KindParams, check_params, mask_batch
from pipelines.spine.errors import CorpusmillError

TEXTS = ["a@example.com, b@example.com; Tel: 555-0123", "none", "身份证11010519491231002X", ""]


def counts(found) -> dict[str, list[int]]:
    return {kind: values.tolist() for kind, values in found.items() if values.any()}


def test_what_was_masked_is_counted_by_kind_and_text():
    masked = mask_batch(TEXTS, ["en", "en", "zh", "en"], settings())
    assert masked.texts == ["<EMAIL>, <EMAIL>; Tel: <PHONE>", "none", "身份证<NATIONAL_ID>", ""]
    assert list(masked.found) == list(KINDS)
    assert counts(masked.found) == {"email": [2, 0, 0, 0], "phone": [1, 0, 0, 0], "national_id": [0, 0, 1, 0]}
    assert {values.dtype.name for values in masked.found.values()} == {"int64"}


def test_kept_kinds_stay_uncounted_and_those_that_drop_are_counted_and_stay():
    params = settings(email="keep", national_id="drop")
    masked = mask_batch(TEXTS, ["en", "en", "zh", "en"], params)
    assert masked.texts == ["a@example.com, b@example.com; Tel: <PHONE>", *TEXTS[1:]]
    assert counts(masked.found) == {"phone": [1, 0, 0, 0], "national_id": [0, 0, 1, 0]}


def test_where_all_is_kept_nothing_is_found():
    masked = mask_batch(TEXTS, ["en"] * 4, settings("keep"))
    assert masked.texts == TEXTS
    assert counts(masked.found) == {}


def test_a_kept_card_number_is_not_masked_as_something_else():
    text = "Tel: 4111 1111 1111 1111"
    assert mask(text, params=settings(card_number="keep")) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write to a@b.com now", "Write to now"),
        ("a@b.com now", "now"),
        ("now a@b.com", "now"),
        ("one\n  a@b.com two\nthree a@b.com\nfour", "one\n  two\nthree\nfour"),
        ("one\n\na@b.com\n\ntwo", "one\n\ntwo"),
        ("(a@b.com), <a@b.com>", "(), <>"),
        ("电话：13800138000，地址", "电话：，地址"),
        ("a@b.com", ""),
    ],
)
def test_removing_leaves_tidy_lines(text, left):
    removed = mask(text, "zh", settings("remove"))
    assert removed == left
    assert tidy_lines(removed) == removed


def test_no_find_goes_from_one_text_into_the_next():
    texts = ["Tel:", "12345678", "a", "@b.com", "+44 20", "7946 0958"]
    assert mask_batch(texts, ["en"] * 6, settings()).texts == texts


def test_a_number_next_to_a_combining_mark_stays():
    assert mask("Tel: 5550123\u0338") == "Tel: 5550123\u0338"


PIECES = [
    "a@example.com", "@", "Tel: ", "电话", "12345678", "+44 20 7946 0958", "(617) 253-1000", "11010519491231002X",
    "/", "，", "4111 1111 1111 1111", "GB82WEST12345698765432", "18.72.0.3", "2a00:1450:4001:81b::200e", "ISBN ",
    "version ", " ", "  ", "\n", "\n\n", "://u:p", "-", ".", "529.982.247-25", "<EMAIL>", "<", ">", "é", "x", "７",
    "😀", "AKIA" + "A1B2" * 4, "1", "+", "<PHONE>", "00", "或", "、", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@examples(max_examples=600, deadline=None, derandomize=True)
@given(texts, st.sampled_from(["mask", "remove"]), st.sampled_from(["en", "zh"]))
def test_masking_twice_is_masking_once(text, action, language):
    once = mask_batch([tidy_lines(text)], [language], settings(action))
    twice = mask_batch(once.texts, [language], settings(action))
    assert twice.texts == once.texts
    assert counts(twice.found) == {}
    assert tidy_lines(once.texts[0]) == once.texts[0]


def test_a_text_is_masked_alike_in_every_batch():
    draw = random.Random(5)
    batch = ["".join(draw.choices(PIECES, k=8)) for _ in range(300)]
    languages = [draw.choice(["en", "zh"]) for _ in batch]
    together = mask_batch(batch, languages, settings())
    for number, text in enumerate(batch):
        alone = mask_batch([text], [languages[number]], settings())
        assert alone.texts[0] == together.texts[number]
        assert {kind: values[0] for kind, values in alone.found.items()} == {
            kind: values[number] for kind, values in together.found.items()
        }


def test_a_batch_of_several_blocks_is_masked_wholly():
    batch = ["x" * 50_000 + " a@b.com é"] * 7
    masked = mask_batch(batch, ["en"] * 7, settings())
    assert masked.texts == ["x" * 50_000 + " <EMAIL> é"] * 7
    assert counts(masked.found) == {"email": [1] * 7}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"email": KindParams("hide", "<EMAIL>")}, "no such action"),
        ({"email": KindParams("mask", "EMAIL")}, "a placeholder must be unmistakable"),
        ({"email": KindParams("mask", "<a@b.com>")}, "a placeholder must be unmistakable"),
        ({"email": KindParams("mask", "")}, "a placeholder must be unmistakable"),
        ({"email": KindParams("mask", "<PHONE>")}, "stand for one kind"),
        ({"phone_regions": {"en": ("US",)}}, "no regions for languages that are not named"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changed, message):
    with pytest.raises(CorpusmillError, match=message):
        check_params(dataclasses.replace(settings(), **changed))


@pytest.mark.parametrize("placeholder", ["[EMAIL]", "|||EMAIL_ADDRESS|||", "{EMAIL}"])
def test_other_placeholders_are_stable_too(placeholder):
    params = dataclasses.replace(settings(), email=KindParams("mask", placeholder))
    once = mask("a@b.com@c.com x@y.org", params=params)
    assert placeholder in once
    assert mask(once, params=params) == once
