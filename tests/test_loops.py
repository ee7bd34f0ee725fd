"""Loops: what comes again and again in one text is cut but for its first copy; refrains and templates are not."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.cleaning.loops import LoopParams, Loops, check_loops, cut_loops, find_loops
from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.text_table import TextTable
from pipelines.spine.errors import CorpusmillError

PARAMS = LoopParams(action="cut", min_copies=3, min_chars=100, min_chant_chars=1000, min_percent=75)

#: A paragraph of 100 letters or more, of three sentences, in six scripts.
PARAGRAPHS = {
    "en": "The ferry to the islands leaves at eight. In winter it waits for the wind to drop, and fishermen mend their "
    "nets in the harbour. Nobody hurries.",
    "zh": "渡轮八点开往群岛。冬天要等风停了才走，渔民就在港口里补他们的网，"
    "没有一个人着急。码头上的旧市场现在是一座小小的博物馆。",
    "ja": "島へ渡る船は朝八時に港を出ます。冬は風がやむまで待たなければならず、"
    "漁師たちは岸で網を繕っています。誰も急ぎません。",
    "th": "เรือข้ามฟากออกเวลาแปดโมงเช้าทุกวัน ในฤดูหนาวต้องรอให้ลมสงบก่อนจึงจะออกได้ "
    "ชาวประมงนั่งซ่อมแหอยู่ที่ท่าเรือเก่าใกล้ตลาด ไม่มีใครรีบร้อน",
    "ar": "تغادر العبارة إلى الجزر في الثامنة صباحا. في الشتاء تنتظر حتى تهدأ الريح، ويصلح الصيادون شباكهم "
    "في الميناء القديم قرب السوق. لا أحد يستعجل هنا أبدا ولا أحد يتأخر.",
    "hi": "द्वीपों के लिए नाव सुबह आठ बजे निकलती है। सर्दियों में वह हवा के रुकने का इंतज़ार करती है और मछुआरे बंदरगाह में अपने जाल "
    "ठीक करते हैं। यहाँ किसी को जल्दी नहीं है और कोई देर से नहीं आता।",
}
ENGLISH = PARAGRAPHS["en"]


def cut(text: str, language: str = "en", params: LoopParams = PARAMS) -> str:
    return cut_batch([text], [language], params)[0]


def cut_batch(texts: list[str], languages: list[str], params: LoopParams = PARAMS) -> list[str]:
    table = TextTable.read(texts, languages)
    return cut_loops(texts, table, find_loops(table, params))


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_of_a_paragraph_that_comes_three_times_in_a_row_one_stays(language: str):
    paragraph = PARAGRAPHS[language]
    text = f"Before.\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}\n\nBehind."
    assert cut(text, language) == f"Before.\n\n{paragraph}\n\nBehind."


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_copies_within_one_line_go_too_and_no_word_is_joined_or_parted(language: str):
    paragraph = PARAGRAPHS[language]
    space = "" if language in ("zh", "ja", "th") else " "
    text = space.join(["A1", paragraph, paragraph, paragraph, paragraph, "B2"])
    assert cut(text, language) == space.join(["A1", paragraph, "B2"])


def test_two_copies_are_no_loop():
    text = f"{ENGLISH}\n\n{ENGLISH}\n\nBehind."
    assert cut(text) == text


def test_a_row_that_breaks_off_within_a_round_reads_on_as_before():
    passage = (
        "and then the old man went down to the harbour again to look for the boat that his brother "
        "had sold so long ago to a merchant of the capital "
    )
    assert cut(passage * 5 + "and then the old man slept") == passage + "and then the old man slept"


def test_the_suffixes_of_a_chapter_go():
    """How scrapers of nested markup repeat a page: each part is printed with all that follows it."""
    parts = [f"{sha(k)}." for k in range(7)]
    rounds = ["\n".join(parts[k:]) for k in range(len(parts)) for _ in range(2)][1:]
    assert cut("A chapter\n\n" + "\n\n".join(rounds)) == "A chapter\n\n" + "\n".join(parts)


def test_scattered_copies_go_by_whole_sentences():
    names = ("one", "two", "three", "four", "five", "six")
    text = " ".join(f"Guest number {name} came by sea. It rained. {ENGLISH}" for name in names)
    assert cut(text) == (
        f"Guest number one came by sea. It rained. {ENGLISH} Guest number two came by sea. Guest number three came by sea. "
        "Guest number four came by sea. Guest number five came by sea. Guest number six came by sea."
    )


def test_scattered_copies_stay_where_they_are_not_most_of_a_text():
    questions = "\n".join(f"Guest {k} says: {sha(k)}\nWhat do you eat at home? {ENGLISH}" for k in range(8))
    assert cut(questions) == questions
    assert cut(questions, params=replace(PARAMS, min_percent=30)) != questions


def sha(number: int) -> str:
    """40 words that no other number has."""
    return " ".join(f"w{number}x{k}" for k in range(40))


SOUND = {
    "a refrain": "\n\n".join(
        f"{verse}\n\nAnd we sail, and we sail, till the morning is pale,\nand the harbour lies under the snow."
        for verse in (sha(1), sha(2), sha(3), sha(4), sha(5))
    ),
    "a litany": "\n".join(f"Saint{k}, star of the sea and light of sailors, pray for us." for k in range(40)),
    "a chant": "He was very, very, very, very tired. " + "La la la, " * 40 + "sang the boy.",
    "Chinese laughter": "他说：" + "哈" * 120 + "，真好笑。",
    "a prayer said forty times": f"{sha(1)}. They answered: " + "Kyrie eleison. " * 40 + "Then they left.",
    "a list": "\n".join(
        f"- Village {k}, a village in the district of Old Harbour, in the province of North Sea." for k in range(60)
    ),
    "a row of rules": "\n".join(["One.", *["_" * 80] * 40, "Two.", *["-+" * 40] * 40]),
    "a table of zeros": "\n".join(["0 0.00 0 0 0.00"] * 400),
    "legal text that returns": f"{sha(1)}\n{ENGLISH}\n{sha(2)}\n{ENGLISH}\n{sha(3)}\n{ENGLISH}\n{sha(4)}",
    "one word without end": "a" * 100_000,
    "nothing": "",
    "one": "word",
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_no_loop_stays(name: str):
    assert cut(SOUND[name]) == SOUND[name]


def test_a_chant_that_fills_pages_goes():
    assert cut("He sang: " + "la la lo " * 500 + "and slept.") == "He sang: la la lo and slept."
    assert cut("他说：" + "哈" * 5000 + "，真好笑。", "zh") == "他说：哈哈，真好笑。"


def test_the_ranges_are_bytes_of_the_table_and_characters_of_words():
    texts = ["Sound.", f"{ENGLISH}\n{ENGLISH}\n{ENGLISH}\nBehind.", "Sound, too."]
    loops = find_loops(TextTable.read(texts, ["en"] * 3), PARAMS)
    begin, size = len("Sound.") + 1, len(ENGLISH)
    assert (loops.texts.tolist(), loops.starts.tolist()) == ([1], [begin + size])
    assert loops.stops.tolist() == [begin + 3 * size + 2]
    assert loops.chars.tolist() == [0, 2 * len(ENGLISH.replace(" ", "")), 0]


def test_of_the_spaces_beside_a_cut_the_wider_stays():
    table = TextTable.read(["a b\n\nc  d\nX東Y"], ["ja"])
    stops = table.words.stops.tolist()

    def without(first: int, last: int) -> str:
        ranges = (np.array([value]) for value in (0, stops[first - 1], stops[last]))
        return cut_loops(["a b\n\nc  d\nX東Y"], table, Loops(*ranges, chars=np.array([1])))[0]

    assert without(1, 1) == "a\n\nc  d\nX東Y"
    assert without(1, 2) == "a  d\nX東Y"
    assert without(3, 3) == "a b\n\nc\nX東Y"
    assert without(5, 5) == "a b\n\nc  d\nX Y"
    assert without(5, 6) == "a b\n\nc  d\nX"


def test_texts_are_judged_by_themselves_whatever_stands_beside_them():
    texts = [looping_text(seed) for seed in range(60)]
    languages = ["en"] * len(texts)
    alone = [cut(text) for text in texts]
    assert cut_batch(texts, languages) == alone
    assert cut_batch(texts[::-1], languages) == alone[::-1]
    assert sum(a != b for a, b in zip(alone, texts, strict=True)) > 10


def test_what_was_cut_is_not_cut_again():
    """2,000 texts of looping passages, and limits so low that the half of them is cut."""
    params = replace(PARAMS, min_chars=50, min_chant_chars=200, min_percent=50)
    num_cut = 0
    for first in range(0, 2000, 50):
        texts = [looping_text(seed) for seed in range(first, first + 50)]
        languages = ["en"] * len(texts)
        once = cut_batch(texts, languages, params)
        assert cut_batch(once, languages, params) == once
        num_cut += sum(a != b for a, b in zip(once, texts, strict=True))
    assert num_cut > 600


ALPHABETS = (
    ["harbour", "river", "houses", "century", "fishermen", "herring", "market", "hall", "museum", "small", "library"],
    list("春困葳蕤拥绣衾恍随仙子别红尘问谁幻入华"),
    ["ก", "ข", "ab", "東", "cd", "7", "—"],
)


def looping_text(seed: int) -> str:
    """Passages in a row, or scattered, or cut short, with sentences, lines and other words between them."""
    draw = random.Random(seed)
    alphabet = draw.choice(ALPHABETS)
    space = " " if alphabet is ALPHABETS[0] else ""

    def passage(num_words: int) -> str:
        marks = ["", "", "", "", "", "", ".", "。", "\n", "\n\n", " "]
        return "".join(draw.choice(alphabet) + draw.choice(marks) + space for _ in range(num_words))

    passages = [passage(draw.choice([1, 3, 8, 20, 50])) for _ in range(draw.randint(1, 4))]
    parts = []
    for _ in range(draw.randint(1, 8)):
        chosen = draw.choice(passages)
        parts += {
            "row": [chosen] * draw.choice([1, 2, 3, 6, 20]),
            "scattered": draw.choices(passages, k=8),
            "cut short": [chosen[draw.randrange(len(chosen)) :] for _ in range(4)],
        }[draw.choice(["row", "scattered", "cut short"])]
        parts.append(draw.choice(["", "\n", "\n\n", " ", passage(draw.randint(1, 12))]))
    return tidy_lines("".join(parts))


def fibonacci_words(num_words: int) -> str:
    shorter, longer = ["a"], ["b", "a"]
    while len(longer) < num_words:
        shorter, longer = longer, longer + shorter
    return " ".join(longer[:num_words])


HOSTILE = {
    "one letter": "a " * 100_000,
    "one ideogram": "哈" * 100_000,
    "two words": "ab cd " * 50_000,
    "Fibonacci words": fibonacci_words(100_000),
    "many periods": " ".join(f"w{k % period}" for period in range(1, 250) for k in range(3 * period)),
    "no word": " \n" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_settle(name: str):
    once = cut(HOSTILE[name])
    assert cut(once) == once


def test_one_letter_and_one_ideogram_shrink_to_themselves():
    assert (cut(HOSTILE["one letter"]), cut(HOSTILE["one ideogram"])) == ("a", "哈")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"action": "burn"}, "cut, drop, keep"), ({"min_copies": 1}, "two copies"), ({"min_chars": 0}, "two copies")],
    ids=["action", "min_copies", "min_chars"],
)
def test_values_that_mean_nothing_are_refused(change: dict, message: str):
    check_loops(PARAMS)
    with pytest.raises(CorpusmillError, match=message):
        check_loops(replace(PARAMS, **change))


def test_the_looping_chapter_becomes_a_chapter(shared_data: Path):
    text = tidy_lines((shared_data / "broken" / "zh-novel-looping-chapter.txt").read_text(encoding="utf-8"))
    heading, chapter = text.split("\n\n")[:2]
    edited = cut(text, "zh")
    # The closing couplet alone, 18 characters, stands there twice more: a passage has 34 ideograms.
    assert edited.startswith(f"{heading}\n\n{chapter}\n\n")
    assert (len(text), len(heading) + 2 + len(chapter), len(edited)) == (488226, 7846, 7894)
    assert cut(edited, "zh") == edited


def test_sound_news_lose_nothing(shared_data: Path):
    news = (shared_data / "news" / "lee_background.cor").read_text(encoding="utf-8").splitlines()
    assert cut_batch(news, ["en"] * len(news)) == news
