"""Which template shows what: names -> handler, one row each, by meaning and then by language.

To keep one more template, add its name to a row (lower case, spaces for underscores, names apart by ``|``), or
add a row, and a line in ``tests/test_wikitext.py``. The rule for every other name: **a template that stands in no
row is dropped**, and leaves a marker so that brackets emptied by it go too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipelines.readers import wikitext_values as show
from pipelines.readers.wikitext_marks import hide
from pipelines.readers.wikitext_values import Handler, constant, first, joined, last, second, wrapped


class Page(NamedTuple):
    """What a template may know of the page: its title, and when the revision was written (ISO 8601; "" unknown)."""

    title: str
    timestamp: str


PageHandler = Callable[[Sequence[str], Mapping[str, str], Page], str]


def _rows(*rows: tuple[Handler, str]) -> dict[str, Handler]:
    table: dict[str, Handler] = {}
    for handler, names in rows:
        for name in names.split(" | "):
            if name in table:
                raise ValueError(f"template {name!r} stands in two rows of one group")
            table[name] = handler
    return table


# fmt: off
SHARED: dict[str, Handler] = _rows(
    # numbers, units, formulas
    (show.convert, "convert | cvt | convert/spell"),
    (show.value, "val"),
    (first, "formatnum | num | nts | ntsc | formatprice | simplenuclide2 | math | mvar | var | bigmath"),
    (first, "tmath | overline"),
    (first, "chem2 | sub | mp | fmtn | nobold | decimals | rnd | round"),
    (show.fraction, "frac | fraction | sfrac | bruch | ausschreiben"),
    (show.power_of_ten, "e | esp | e-sp"),
    (show.percentage, "percentage | pct | percent"),
    (lambda args, named: show.superscript(first(args, named)), "sup | smallsup"),
    (lambda args, named: "10" + show.superscript(first(args, named)), "10^"),
    (joined(""), "chem | su | gaps"),
    (wrapped("√"), "sqrt | radic"),
    (wrapped("|", "|"), "abs | mabs"),
    (wrapped("US$"), "us$ | usd | us dollar"),
    (wrapped("£"), "£ | gbp | pound sterling"),
    (wrapped("€"), "€ | eur | euro"),
    (wrapped("¥"), "¥ | jpy | cny"),
    (wrapped("₹"), "inr | ₹ | indian rupee | rupee | inrconvert"),
    (constant("π"), "pi"),
    (constant("⇌"), "eqm"),
    # dates
    (show.circa, "circa | c. | ca | ca."),
    (show.as_of(""), "as of | asof"),
    (show.iso_date, "start date | end date | birth date | death date | dts | date table sorting | film date"),
    (show.iso_date, "birth-date | death-date"),
    (show.iso_date, "dtsh | start date and age | birth date and age | death date and age | bda | dda | b-da"),
    (show.old_style_date, "oldstyledate | old style date | osd"),
    (first, "by | mlby | nfly | nhly | nbay | cfby | year | date | birth year and age"),
    # languages and writing
    (second, "lang | langx | lang2 | langnf | llang | wikt-lang | script | transl/nf | lang-x | native name"),
    (second, "nativename"),
    (last, "transl | transliteration | tlit | translit | translation | rtl-lang"),
    (show.nihongo, "nihongo | nihongo foot | nihongo title"),
    (show.nihongo_romaji_first, "nihongo3 | nihongo krt"),
    (first, "nihongo2 | nihongo core | lj | linktext | linkt | wt | lsj | polytonic | unicode | ipa symbol | iast"),
    (first, "rtl | ltr | okina"),
    (first, "script/hebrew | script/arabic | hebrew | arabic | urdu | asiantitle | korean | abbr | abbrlink"),
    (first, "tooltip | tt | h:title"),
    (show.chinese, "zh | zh-full | chinese | lang-zh | zh-cpw"),
    (show.english_sounds, "ipac-en"),
    (show.sounds, "ipa | ipa-all | ipalink | ipa link | ipa-cen | ipa2"),
    (first, "respell | pronunciation respelling | vr | audio-ipa | phoneme | phonemes"),
    (wrapped("⟨", "⟩"), "angbr | angle bracket | grapheme | angbr ipa | angbraces"),
    # appearance: the text is the first argument
    (first, "nowrap | nobr | nobreak | nowr | small | smaller | big | larger | large | sc | smallcaps | sc2 | em"),
    (first, "strong | bold | b | i"),
    (first, "italic | noitalic | normal | center | centre | u | underline | strikethrough | s | color sample"),
    (first, "longitem | resize"),
    (first, "code | mono | keyb | kbd | samp | tt2 | codett | inline-block | nowiki | tq | tqi | highlight round"),
    (first, "mark | hl | not a typo"),
    (first, "sic | as written | proper name | typo | chem name | nwr | no wrap | wrap | hyphen wrap | delink | oq"),
    (first, "quote inline"),
    (show.key_press, "keypress | key press | key | button"),
    (last, "font color | colour | color | font | fontcolor | highlight | background color | font-size | resize text"),
    (first, "vanchor | visible anchor | anchord | anchorword | vol. | section title | comment | hover title | hint"),
    (first, "aut | person"),
    (first, "clarify span | citation needed span | cn span | cnspan | fact span | disputed inline span"),
    # links
    (show.label_or_first, "ill | interlanguage link | illm | interlanguage link multi | link-interwiki | iw2 | red"),
    (show.label_or_first, "pslink | link"),
    (first, "url | official url | flag | flagcountry | flagu | flagg | flag+link | flag decoration text | sortname1"),
    (first, "annotated link"),
    (joined(" "), "sortname | ship/name | bibleverse | bibref | bibleref | bible verse | bibleref2 | sourcetext"),
    (joined(" § "), "section link | slink"),
    (show.ship, "ship"),
    (show.ship_class, "sclass | sclass2 | sclass- | sclass2-"),
    (show.prefixed_ship("HMS"), "hms"),
    (show.prefixed_ship("USS"), "uss"),
    (show.prefixed_ship("SS"), "ss"),
    (show.prefixed_ship("HMAS"), "hmas"),
    (show.prefixed_ship("RMS"), "rms"),
    # blocks and lists
    (show.quotation, "quote | blockquote | cquote | quotation | bquote | rquote | quote box | poemquote"),
    (show.quotation, "poem quote | centered pull quote"),
    (show.block, "plainlist | flatlist | columns-list | div col | poem | multicol | collapse | unindent | indent"),
    (show.block, "hidden text"),
    (show.second_block, "col-list"),
    (show.item_list, "ubl | unbulleted list | bulleted list | ublist | ordered list | blist | olist | numbered list"),
    (joined(", "), "hlist | comma separated entries | cslist | flat list"),
    # characters
    (constant(hide("|")), "! | pipe"),
    (constant("="), "= | equals"),
    (constant(" "), "nbsp | space | spaces | spc | sp | thinsp | thin space | hair space | hairsp | nnbsp | zwsp"),
    (constant("–"), "ndash | en dash | endash"),
    (constant("—"), "mdash | em dash | emdash | long dash"),
    (constant(" – "), "spaced ndash | snd | spnd | sndash | spaced en dash | dash"),
    (constant(" — "), "mdashb | spaced mdash"),
    (constant(" · "), "· | dot | middot | bold dot | *"),
    (constant(" • "), "• | bull | bullet"),
    (constant("†"), "dagger | †"),
    (constant("‡"), "double dagger | double-dagger | ‡"),
    (constant("♭"), "flat | music flat"),
    (constant("♯"), "sharp"),
    (show.music, "music"),
    (constant("'"), "' | apostrophe | ’"),
    (constant("'s"), "'s"),
    (constant("'\""), '\' " | \'"'),
    (constant("\"'"), '" \' | "\''),
    (constant("\n"), "clear | - | break | crlf | br | clr | brk"),
    (show.nothing, ", | anchor | anchors | wbr | zwj | zwnj | shy | hidden anchor | 0 | display none"),
    (show.nothing, "hid | ntsh | sort under"),
)
_MONTHS_UK = (
    "січня", "лютого", "березня", "квітня", "травня", "червня",
    "липня", "серпня", "вересня", "жовтня", "листопада", "грудня",
)
_MONTHS_RU = (
    "января", "февраля", "марта", "апреля", "мая", "июня",
    "июля", "августа", "сентября", "октября", "ноября", "декабря",
)

BY_LANGUAGE: dict[str, dict[str, Handler]] = {
    "en": _rows(
        (show.as_of("as of"), "as of | asof"),
        (first, "railgauge | track gauge | which? | visible anchor | when span"),
    ),
    "ar": _rows(
        (first, "خط عربي | نص عربي | تنسيق | خ | صغير | كبير | وزن | ويكيفر | وصلة إنترويكي | عد | وإو"),
        (second, "لغ | لغة"),
        (show.quotation, "اقتباس | اقتباس خاص"),
        (constant("\n"), "سطر جديد"),
    ),
    "de": _rows(
        (first, "formatzahl | zahl | ens | des | frs | rus | las | grs | its | spas | arf | has | fas | pls | jas"),
        (first, "zhs | dn | unicode"),
        (wrapped("„", "“"), '"'),
        (show.quotation, "zitat | zitat-en | zitat-fr | zitat-la"),
        (show.number_and_unit, "maß"),
    ),
    "es": _rows(
        (show.number_and_unit, "unidad"),
        (first, "esd | versalita | versalitas | nowrap | bandera2"),
        (wrapped("siglo "), "siglo"),
        (wrapped("a. C. "), "ac"),
        (show.quotation, "cita"),
    ),
    "fa": _rows(
        (first, "به انگلیسی | به لاتین | به فرانسوی | به آلمانی | به عربی | عبارت عربی | ارقام | به فارسی | رشد"),
        (constant("\n"), "سخ"),
        (show.quotation, "نقل قول | گفتاورد"),
    ),
    "fr": _rows(
        (show.number_and_unit, "unité | nombre | nb | tmp | température"),
        (first, "nobr | lien | japonais | x10 | petites capitales | pc | nowrap | citation nécessaire | souligner"),
        (second, "langue | citation étrangère"),
        (joined(" "), "date | date- | heure | année | date républicaine"),
        (wrapped("« ", " »"), "citation | cita | guillemets"),
        (show.quotation, "citation bloc | début citation"),
        (wrapped("– ", " –"), "incise"),
        (wrapped("p. "), "p. | page"),
        (wrapped("vol. "), "vol."),
        (wrapped("", "e siècle"), "s- | s | sp- | s mini- | siècle"),
        (wrapped("", "e"), "e | ème | exp"),
        (constant("er"), "er"),
        (constant("re"), "re"),
    ),
    "he": _rows(
        (constant("\n"), "ש"),
        (show.nothing, "כ"),
        (first, "מודגש | קטן | לועזית | נוסח | קישור שפה"),
        (show.quotation, "ציטוט"),
    ),
    "it": _rows(
        (first, "ta | chiarire | senza fonte | maiuscoletto | citazione necessaria"),
        (show.number_and_unit, "m | unità"),
        (show.quotation, "citazione | quote"),
    ),
    "ja": _rows(
        (show.label_or_first, "仮リンク | 日本語版にない記事リンク | 並び替えリンク"),
        (first, "en | fr | de | ru | zh | ko | el | la | es | it | pt | nl | sv | 要出典範囲 | いつ範囲 | 誰範囲"),
        (first, "要検証範囲 | 独自研究範囲 | 疑問点範囲"),
        (first, "jis2004フォント | 補助漢字フォント | cp932フォント | 拡張漢字 | 旧字体 | 新字体 | 下げ核 | 上げ核"),
        (first, "interlang | ilq | 色 | 縦書き"),
        (first, "要説明範囲 | 要ページ番号範囲 | 和暦 | 西暦 | unicodeフォント | 環境依存文字 | ipaフォント | 国旗"),
        (first, "large2 | 変体仮名フォント"),
        (show.third, "langwithname"),
        (second, "llang"),
        (show.with_reading("（", "）", "、"), "読み仮名 | ruby | ルビ | 読み仮名 ruby不使用 | ふりがな | yomi"),
        (wrapped("〔", "〕"), "bracket | 補注"),
        (show.nothing, "語中改行 | 隠し | padding"),
        (show.quotation, "引用 | 引用2 | quotation"),
        (constant("\n"), "改行"),
    ),
    "ko": _rows(
        (second, "llang | 언어 | 언어링크"),
        (first, "국기나라 | 임시링크 | 작게 | 크게 | 한자"),
        (show.with_reading("(", ")", ", "), "한글한자 | 루비"),
        (show.quotation, "인용문 | 인용"),
    ),
    "mr": _rows(
        (first, "लेखनाव2 | w | ध्वज | संख्या | नोबोल्ड"),
        (constant("₹"), "रुपया"),
        (show.quotation, "अवतरण"),
    ),
    "pl": _rows(
        (first, "liczba | j | k | u"),
        (show.quotation, "cytat"),
    ),
    "pt": _rows(
        (first, "fmtn"),
        (show.number_and_unit, "unidade"),
        (show.quotation, "quote | citação | cquote"),
    ),
    "ru": _rows(
        (show.second_or_first, "не переведено | не переведено 2 | не переведено 3 | не переведено 5 | нп | нп2"),
        (show.second_or_first, "нп3 | нп4 | нп5 | iw"),
        (first, "число | s | nobr | nowrap | comment | граммема | подсказка | мн | большой | хангыль | китайский"),
        (first, "год | е"),
        (show.day_month_year(_MONTHS_RU, day_first=True), "сс | дата"),
        (show.second_or_first, "lang-x | tr"),
        (show.quotation, "цитата | врезка"),
        (constant("№"), "номер"),
    ),
    "uk": _rows(
        (show.second_or_first, "не перекладено | нп | нп2 | нп3 | нп5 | iw | link-interwiki"),
        (first, "число | s | м. | к. | гр | особа | ref+ | легенда | підказка | абревіатура | кегль | мала"),
        (first, "comment"),
        (second, "langi | langnf"),
        (show.day_month_year(_MONTHS_UK, day_first=False), "дата"),
        (show.day_month_year(_MONTHS_UK, day_first=True), "дс | дн"),
        (constant("°C"), "градус цельсія"),
        (show.nothing, "н"),
        (show.quotation, "цитата"),
    ),
    "vi": _rows(
        (first, "số | vi | nhỏ | nhỏ hơn | lớn | không xuống dòng | liên kết tạm | nôm | hán nôm | thanh"),
        (show.as_of("tính đến năm"), "as of | tính đến"),
        (show.label_or_first, "ill | liên kết ngôn ngữ khác"),
        (show.quotation, "trích dẫn | lời trích | cquote"),
    ),
    "zh": _rows(
        (show.label_or_first, "le | link-en | tsl/le | 僻字 | 僻字nb | internal link helper | link-ja"),
        (show.third_or_second, "tsl | translink"),
        (first, "jpn | kai | 樣式 | 鏈接 | nowrap | 标楷体 | 楷体 | 註音 | ruby-zh-p | 双引号"),
        (show.with_reading("（", "）", "、"), "ruby | 注音 | zy"),
        (joined(" – "), "bd | 生卒"),
        (show.nothing, "noteta | 懸空"),
        (show.quotation, "引文 | 引用"),
    ),
}
# fmt: on
# Families of names that differ by a language code: prefix -> handler.
PREFIXES: tuple[tuple[str, Handler], ...] = (
    ("lang-*", second),
    ("lang-", first),
    ("ipa-", show.bracketed_sounds),
    ("ipac-", show.english_sounds),
    ("vol-", first),
    ("link-", show.label_or_first),
    ("internal link helper/", show.label_or_first),
    ("hw-", first),
)
# Functions of the text behind the colon: {{formatnum:1234}}.
PARSER_FUNCTIONS: dict[str, Callable[[str], str]] = {
    "formatnum": str,
    "lc": str.lower,
    "uc": str.upper,
    "lcfirst": lambda text: text[:1].lower() + text[1:],
    "ucfirst": lambda text: text[:1].upper() + text[1:],
    "#formatdate": str,
    "#dateformat": str,
}


def age(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """Whole years from a date to a second date or to the revision: ``1950|5|20|2016|1|1`` -> ``65``."""
    end = list(args[3:6]) or page.timestamp[:10].split("-")
    try:
        begin_day, end_day = tuple(map(int, args[:3])), tuple(map(int, end))
    except ValueError:
        return ""
    return str(end_day[0] - begin_day[0] - (end_day[1:] < begin_day[1:])) if begin_day and end_day else ""


PAGE_TEMPLATES: dict[str, PageHandler] = {
    "pagename": lambda args, named, page: page.title,
    "subpagename": lambda args, named, page: page.title,
    "fullpagename": lambda args, named, page: page.title,
    "currentyear": lambda args, named, page: page.timestamp[:4],
    "currentmonth": lambda args, named, page: page.timestamp[5:7],
    "currentday": lambda args, named, page: page.timestamp[8:10].lstrip("0"),
    "age": age,
    "age in years": age,
    "年数": age,
}
