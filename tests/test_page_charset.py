"""Encodings of web pages: found whatever the server and the page declare."""

import pytest

from pipelines.readers.web.charset import decode_page

TEXTS = {
    "zh": "新华社北京五月一日电，市政府今天宣布，这座有百年历史的老磨坊将在明年全面修复，并向公众开放。",
    "zh-hant": "臺北市政府今天宣布，這座有百年歷史的老磨坊將在明年全面修復，並向公眾開放，歡迎市民前往參觀。",
    "ja": "東京都は一日、百年の歴史を持つ古い製粉所を来年全面的に修復し、一般に公開すると発表した。",
    "ko": "서울시는 오늘 백 년의 역사를 가진 오래된 방앗간을 내년에 전면 복원하여 시민에게 공개한다고 밝혔다.",
    "ru": "Городской совет объявил в понедельник, что старая мельница будет восстановлена в следующем году.",
    "ar": "أعلن مجلس المدينة يوم الاثنين أن الطاحونة القديمة سترمم في العام المقبل وتفتح للجمهور.",
    "fr": "Le conseil a décidé lundi que le vieux moulin sera restauré après dix ans de débat à Orléans.",
    "pl": "Rada miasta ogłosiła w poniedziałek, że stary młyn zostanie odnowiony w przyszłym roku.",
}
ENCODINGS = (
    ("zh", "gbk"), ("zh", "gb18030"), ("zh", "utf-16-le"), ("zh", "utf-8"), ("zh-hant", "big5"),
    ("ja", "shift_jis"), ("ja", "euc_jp"), ("ja", "iso2022_jp"), ("ja", "utf-16-be"), ("ko", "euc_kr"),
    ("ko", "cp949"), ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "utf-16"), ("ar", "cp1256"),
    ("ar", "utf-8-sig"), ("fr", "latin-1"), ("fr", "cp1252"),
)  # fmt: skip


def page(language: str, meta: str = "") -> str:
    return f"<!doctype html><html><head>{meta}<title>x</title></head><body><p>{TEXTS[language]}</p></body></html>"


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
@pytest.mark.parametrize("charset", ["right", "", "iso-8859-1", "utf-8", "no-such-charset"])
def test_a_server_may_say_what_it_likes(language, encoding, charset):
    declared = encoding if charset == "right" else charset
    assert decode_page(page(language).encode(encoding), declared) == page(language)


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
@pytest.mark.parametrize("meta", ["{}", "utf-8", "iso-8859-1"])
def test_so_may_the_page(language, encoding, meta):
    text = page(language, f'<meta charset="{meta.format(encoding)}">')
    assert decode_page(text.encode(encoding), "") == text


@pytest.mark.parametrize("encoding", ["cp1250", "iso8859-2"])
def test_alphabets_of_single_accents_need_a_right_declaration(encoding):
    assert decode_page(page("pl").encode(encoding), encoding) == page("pl")
    assert decode_page(page("pl").encode(encoding), "iso-8859-1") != page("pl")


def test_a_broken_byte_does_not_spoil_a_page():
    raw = TEXTS["zh"].encode("gb18030")[:40] + b"\xff" + TEXTS["zh"].encode("gb18030")[40:]
    text = decode_page(raw, "gbk")
    assert (text[:20], text[-20:]) == (TEXTS["zh"][:20], TEXTS["zh"][-20:])


@pytest.mark.parametrize("language", ["zh", "ru", "fr"])
def test_a_page_cut_inside_a_character_is_still_utf8(language):
    raw = (TEXTS[language] * 5).encode()
    cut = next(place for place in range(len(raw) - 1, 0, -1) if raw[place] >= 0x80)
    assert decode_page(raw[:cut] + b"<p>end", "iso-8859-1").replace("\ufffd", "").startswith(TEXTS[language] * 4)


def test_bytes_of_no_encoding_are_text_all_the_same():
    assert decode_page(b"<p>\x81\xfe\xff\x80mill", "utf-8").endswith("mill")
