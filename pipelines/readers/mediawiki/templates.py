"""Which template shows what: names -> handler, one row each, by meaning; ``templates_by_language`` goes before it.

**The rule for every name that stands nowhere: the template is dropped**, leaves a marker so that brackets emptied by
it go too, and is counted by its name (``dropped_templates`` in the ledger). To keep one:

- for one corpus: ``params.yaml: extract.wikitext.templates``, name -> one of ``WORDS`` or ``named:KEY``, as in
  ``{"my template": first, "other": "named:text"}``;
- for everybody: add its name to a row (lower case, spaces for underscores, names apart by ``|``), or add a row, and a
  line in ``tests/test_wikitext.py``.

| word | what ``{{name|a|b|c}}`` shows |
|---|---|
| first, second, third, last | ``a``, ``b``, ``c``, ``c`` |
| second_or_first, third_or_second | ``b``, ``c``; the other one where it is missing |
| label_or_first | the argument ``lt``, ``label`` or ``display``, else ``a`` |
| joined, comma_joined | ``a b c``, ``a, b, c`` |
| list, block, quote | a list of a, b, c; ``a`` on lines of its own; ``a`` (or ``text=``) as a block quotation |
| nothing, drop | nothing; ``drop`` closes up the brackets around it, ``nothing`` is for anchors and padding |
| named:KEY | the argument ``KEY=`` |
"""

from collections.abc import Callable, Mapping, Sequence

from pipelines.readers.mediawiki import dates
from pipelines.readers.mediawiki import values as show
from pipelines.readers.mediawiki.dates import Page, PageHandler
from pipelines.readers.mediawiki.marks import hide
from pipelines.readers.mediawiki.values import Handler, constant, first, joined, last, second, wrapped
from pipelines.spine.errors import CorpusmillError

WORDS: Mapping[str, Handler] = {
    "first": first,
    "second": second,
    "third": show.third,
    "last": last,
    "second_or_first": show.second_or_first,
    "third_or_second": show.third_or_second,
    "label_or_first": show.label_or_first,
    "joined": joined(" "),
    "comma_joined": joined(", "),
    "list": show.item_list,
    "block": show.block,
    "quote": show.quotation,
    "nothing": show.nothing,
    "drop": show.dropped,
}


def handler_of(word: str, where: str) -> Handler:
    """The handler that a word of ``params.yaml`` names.

    Raises:
        CorpusmillError: there is no such word; it names those that there are.
    """
    if word.startswith("named:") and word[6:].strip():
        return show.argument(word[6:].strip().lower())
    if word not in WORDS:
        raise CorpusmillError(
            "unknown word for a template", where=where, expected=f"{', '.join(WORDS)} or named:KEY", got=repr(word)
        )
    return WORDS[word]


def rows(*table_rows: tuple[Handler, str]) -> dict[str, Handler]:
    """Names -> handler, of rows ``(handler, "name | name")``."""
    table: dict[str, Handler] = {}
    for handler, names in table_rows:
        for name in names.split(" | "):
            if name in table:
                raise ValueError(f"template {name!r} stands in two rows of one group")
            table[name] = handler
    return table


# fmt: off
SHARED: dict[str, Handler] = rows(
    # numbers, units, formulas
    (show.convert, "convert | cvt | convert/spell"),
    (show.value, "val"),
    (first, "formatnum | num | nts | ntsc | formatprice | simplenuclide2 | math | mvar | var | bigmath"),
    (first, "tmath | overline"),
    (first, "chem2 | sub | mp | fmtn | nobold | decimals | rnd | round"),
    (show.fraction, "frac | fraction | sfrac | bruch | ausschreiben"),
    (show.power_of_ten, "e | esp | e-sp"),
    (show.height, "height"),
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
    (dates.as_of(""), "as of | asof"),
    (dates.iso_date, "start date | startdate | end date | birth date | death date | dts | date table sorting | film date"),
    (dates.iso_date, "birth-date | death-date"),
    (dates.iso_date, "dtsh"),
    (dates.old_style_date, "oldstyledate | old style date | osd"),
    (first, "by | mlby | nfly | nhly | nbay | cfby | year | date"),
    # languages and writing
    (second, "lang | langx | lang2 | langnf | llang | wikt-lang | script | transl/nf | lang-x | native name"),
    (second, "nativename | sort"),
    (last, "transl | transliteration | tlit | translit | translation | rtl-lang"),
    (show.nihongo, "nihongo | nihongo foot | nihongo title"),
    (show.nihongo_romaji_first, "nihongo3 | nihongo krt"),
    (first, "nihongo2 | nihongo core | lj | linktext | linkt | wt | lsj | polytonic | unicode | ipa symbol | iast"),
    (first, "rtl | ltr | okina"),
    (first, "script/hebrew | script/arabic | hebrew | arabic | urdu | asiantitle | korean | abbr | abbrlink"),
    (first, "tooltip | tt | h:title"),
    (show.chinese, "zh | zh-full | chinese | lang-zh | zh-cpw"),
    (show.english_sounds, "ipac-en"),
    (show.sounds, "ipa | ipa-all | ipalink | ipa link | ipa-cen | ipa2 | мфа | afi"),
    (show.spelled_sounds, "respell | pronunciation respelling | vr | audio-ipa | phoneme | phonemes"),
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
    (first, "annotated link | marriage"),
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
    (show.quotation, "poem quote | centered pull quote | pull quote"),
    (show.block, "plainlist | flatlist | columns-list | div col | poem | multicol | collapse | unindent | indent"),
    (show.block, "hidden text"),
    (show.second_block, "col-list"),
    (show.item_list, "ubl | unbulleted list | bulleted list | ublist | ordered list | blist | olist | numbered list"),
    (show.item_list, "vunblist"),
    (joined(", "), "hlist | comma separated entries | cslist | flat list"),
    # cells of tables
    (show.table_cell("Yes"), "yes | yes2"),
    (show.table_cell("No"), "no | no2"),
    (show.table_cell("Won"), "won"),
    (show.table_cell("Nominated"), "nom | nominated"),
    (show.table_cell("Partial"), "partial"),
    (show.table_cell("Pending"), "pending"),
    (show.table_cell("N/A"), "n/a | na"),
    (show.table_cell("TBA"), "tba"),
    (lambda args, named: first(args, named) or "?", "dunno"),
    # characters
    (constant(hide("|")), "! | pipe"),
    (constant(hide("=")), "= | equals"),
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
    # known to hold no running text; PREFIXES and SUFFIXES name more of them
    (show.dropped, "citation | reflist | refbegin | refend | references | notelist | efn | sfn | sfnp | harv | harvnb"),
    (show.dropped, "harvtxt | rp | r | main | main article | see also | further | about | for | other uses | hatnote"),
    (show.dropped, "redirect | distinguish | details | portal | portal bar | authority control | commons | coord"),
    (show.dropped, "commons category | commonscat | wikiquote | wikisource | wiktionary | sister project links"),
    (show.dropped, "citation needed | cn | fact | clarify | dead link | webarchive | who | when | which | update inline"),
    (show.dropped, "use dmy dates | use mdy dates | short description | good article | featured article | navbox"),
    (show.dropped, "unreferenced | refimprove | more citations needed | multiple image | audio | listen | toc | isbn"),
    (show.dropped, "flagicon | refn | efn2 | legend | div col end | col-begin | col-break | col-end | colbegin | colend"),
    (show.dropped, "col-2 | col-3 | col-4 | col-5 | page needed | expand section | unreferenced section | dmoz | harvid"),
    (show.dropped, "refimprove section | sfnref | oclc | official website | imdb name | imdb title | sisterlinks | main2"),
    (show.dropped, "otheruses | redirect2 | seealso | toc right | wide image | double image | google books"),
    (show.dropped, "normdaten | bar percent | clade | location map | location map~ | wikivoyage | wikibooks | refnest"),
    (show.dropped, "pp-move | pp-move-indef | pp-semi | pp-semi-indef | pp-pc1 | pp-vandalism | pp-protected"),
)
# fmt: on
# Families of names that differ by a language code or a subject: beginning -> handler.
PREFIXES: tuple[tuple[str, Handler], ...] = (
    ("lang-*", second),
    ("lang-", first),
    ("ipa-", show.bracketed_sounds),
    ("ipac-", show.english_sounds),
    ("vol-", first),
    ("link-", show.label_or_first),
    ("internal link helper/", show.label_or_first),
    ("hw-", first),
    ("cite ", show.dropped),
    ("ref-", show.dropped),
    ("chú thích", show.dropped),
    ("navbox", show.dropped),
    ("user ", show.dropped),
)
SUFFIXES: tuple[tuple[str, Handler], ...] = (
    (" stub", show.dropped),
    ("-stub", show.dropped),
    ("-geo-stub", show.dropped),
    (" navbox", show.dropped),
    (" sidebar", show.dropped),
)
_PROSE_TAGS = frozenset(("poem", "blockquote", "div", "span", "small", "center", "p"))


def _tag_function(tag: str, args: Sequence[str], page: Page) -> str:
    """``{{#tag:poem|text}}`` -> ``<poem>text</poem>``, where the tag holds running text; else ""."""
    tag = tag.lower()
    return f"<{tag}>{args[0]}</{tag}>" if tag in _PROSE_TAGS and args else ""


# Functions of the text behind the colon, {{formatnum:1234}}, and of the arguments behind it.
ParserFunction = Callable[[str, Sequence[str], Page], str]
PARSER_FUNCTIONS: dict[str, ParserFunction] = {
    "formatnum": lambda text, args, page: text,
    "lc": lambda text, args, page: text.lower(),
    "uc": lambda text, args, page: text.upper(),
    "lcfirst": lambda text, args, page: text[:1].lower() + text[1:],
    "ucfirst": lambda text, args, page: text[:1].upper() + text[1:],
    "plural": lambda text, args, page: args[0] if text == "1" and args else "".join(args[1:2]),
    "#formatdate": lambda text, args, page: text,
    "#dateformat": lambda text, args, page: text,
    "#time": dates.time_function,
    "#if": lambda text, args, page: "".join(args[:1] if text else args[1:2]),
    "#ifeq": lambda text, args, page: "".join(args[1:2] if text == "".join(args[:1]) else args[2:3]),
    # known to show nothing here
    "defaultsort": lambda text, args, page: "",
    "displaytitle": lambda text, args, page: "",
    "#tag": _tag_function,
}

_birth, _death = dates.date_and_age, dates.death_date_and_age
PAGE_TEMPLATES: dict[str, PageHandler] = {
    "pagename": lambda args, named, page: page.title,
    "subpagename": lambda args, named, page: page.title,
    "fullpagename": lambda args, named, page: page.title,
    "currentyear": dates.current("Y"),
    "localyear": dates.current("Y"),
    "currentmonth": dates.current("m"),
    "currentmonth1": dates.current("n"),
    "currentmonthname": dates.current("F"),
    "currentday": dates.current("j"),
    "currentday2": dates.current("d"),
    "currentdayname": dates.current("l"),
    "currenttime": dates.current("H:i"),
    "age": dates.age,
    "age in years": dates.age,
    "年数": dates.age,
    "years ago": dates.years_since,
    "birth year and age": _birth(first, " (age {})"),
}
for _names, _handler in (
    ("birth date and age | bda | birth-date and age", _birth(dates.english_date, " (age {})")),
    ("start date and age", _birth(dates.english_date, " ({} years ago)")),
    ("death date and age | dda", _death(dates.english_date, " (aged {})")),
    ("生年月日と年齢", _birth(dates.dated("{}年{}月{}日"), "（{}歳）")),
    ("死亡年月日と没年齢", _death(dates.dated("{}年{}月{}日"), "（{}歳没）")),
    ("ngày sinh và tuổi", _birth(dates.dated("{2} tháng {1}, {0}"), " ({} tuổi)")),
    ("ngày mất và tuổi", _death(dates.dated("{2} tháng {1}, {0}"), " ({} tuổi)")),
    ("출생일과 만나이", _birth(dates.dated("{}년 {}월 {}일"), " ({}세)")),
    ("تاريخ الميلاد والعمر", _birth(dates.iso_date, " ({} سنة)")),
):
    PAGE_TEMPLATES |= dict.fromkeys(_names.split(" | "), _handler)
