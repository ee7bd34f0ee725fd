"""Every markup construct in six languages: markup in, text out, and what the ledger counts as dropped."""

import pytest
from reading import WIKITEXT

from pipelines.readers.mediawiki.wikitext import WikitextConverter

# construct -> language -> (markup, text). Names of namespaces and sections are the language's own.
MATRIX: dict[str, dict[str, tuple[str, str]]] = {
    "emphasis": {
        "en": ("'''Bold''' and ''italic'' and '''''both'''''", "Bold and italic and both"),
        "zh": ("'''柏林'''是''德国''的'''''首都'''''。", "柏林是德国的首都。"),
        "ja": ("'''東京'''は''日本''の'''''首都'''''である。", "東京は日本の首都である。"),
        "vi": ("'''Hà Nội''' là ''thủ đô'' của '''''Việt Nam'''''.", "Hà Nội là thủ đô của Việt Nam."),
        "uk": ("'''Київ''' — ''столиця'' '''''України'''''.", "Київ — столиця України."),
        "ar": ("'''برلين''' هي ''عاصمة'' '''''ألمانيا'''''.", "برلين هي عاصمة ألمانيا."),
    },
    "links": {
        "en": ("[[Paris]], [[Paris|the city]], [[bus]]es, [[#Past|below]]", "Paris, the city, buses, below"),
        "zh": ("[[巴黎]]是[[法国|法兰西]]的[[首都#历史|首都]]。", "巴黎是法兰西的首都。"),
        "ja": ("[[パリ]]は[[フランス|仏国]]の[[首都]]です。", "パリは仏国の首都です。"),
        "vi": ("[[Paris]] là [[thủ đô]] của [[Pháp|nước Pháp]].", "Paris là thủ đô của nước Pháp."),
        "uk": ("[[Париж]] — [[столиця]] [[Франція|Франції]], [[місто]]м", "Париж — столиця Франції, містом"),
        "ar": ("[[باريس]] [[عاصمة|عاصمة]] [[فرنسا|الجمهورية الفرنسية]]", "باريس عاصمة الجمهورية الفرنسية"),
    },
    "files and their captions": {
        "en": ("a\n[[File:x.jpg|thumb|left|see [[b|c]] and {{convert|5|km}}]]\nd", "a\nd"),
        "zh": ("甲[[文件:a.jpg|缩略图|右|图[[乙|丙]]]]丁[[檔案:b.png|縮圖|戊]]", "甲丁"),
        "ja": ("甲\n[[ファイル:a.jpg|サムネイル|右|[[乙]]の図]]\n丙[[画像:b.png|200px]]", "甲\n丙"),
        "vi": ("Một [[Tập tin:a.jpg|nhỏ|phải|Hình [[hai]]]] ba [[Hình:b.png|x]]", "Một ba"),
        "uk": ("Один [[Файл:a.jpg|міні|праворуч|Підпис [[два|дві]]]] три [[Зображення:b.png|x]]", "Один три"),
        "ar": ("واحد [[ملف:a.jpg|تصغير|يسار|صورة [[اثنان]]]] ثلاثة [[صورة:b.png|x]]", "واحد ثلاثة"),
    },
    "categories and other languages": {
        "en": ("a [[:Category:Cities]]\n[[Category:Cities|x]]\n[[fr:Ville]]", "a Category:Cities"),
        "zh": ("甲\n[[分类:城市]]\n[[分類:人]]\n[[en:City]]", "甲"),
        "ja": ("甲\n[[カテゴリ:都市]]\n[[Category:日本]]\n[[en:City]]", "甲"),
        "vi": ("Một\n[[Thể loại:Thành phố]]\n[[en:City]]", "Một"),
        "uk": ("Один\n[[Категорія:Міста|*]]\n[[en:City]]", "Один"),
        "ar": ("واحد\n[[تصنيف:مدن]]\n[[en:City]]", "واحد"),
    },
    "references": {
        "en": ('A<ref>{{cite web|url=x}} [[b]]</ref>, b<ref name="x" />.<references/>', "A, b."),
        "zh": ("甲<ref>{{cite book|title=书}}</ref>，乙<ref name=a/>。{{reflist}}", "甲，乙。"),
        "ja": ("甲<ref>『本』[[乙]]</ref>、丙<ref group=注>丁</ref>。", "甲、丙。"),
        "vi": ("Một<ref>{{chú thích web|url=x}}</ref>, hai<ref name=a/>.", "Một, hai."),
        "uk": ("Один<ref>{{книга|автор=А}}</ref>, два<ref name=а/>.{{примітки}}", "Один, два."),
        "ar": ("واحد<ref>{{استشهاد|س}}</ref>، اثنان<ref name=a/>.", "واحد، اثنان."),
    },
    "comments and galleries": {
        "en": ("a<!-- [[b]] {{c}} -->\n<gallery>\nFile:x.jpg|d\n</gallery>\ne", "a\n\ne"),
        "zh": ("甲<!-- 乙 -->\n<gallery>\n文件:x.jpg|丙\n</gallery>\n丁", "甲\n\n丁"),
        "ja": ("甲<!-- 乙 -->\n<gallery widths=90>\nファイル:x.jpg|丙\n</gallery>\n丁", "甲\n\n丁"),
        "vi": ("Một<!-- hai -->\n<gallery>\nTập tin:x.jpg|ba\n</gallery>\nbốn", "Một\n\nbốn"),
        "uk": ("Один<!-- два -->\n<gallery>\nФайл:x.jpg|три\n</gallery>\nчотири", "Один\n\nчотири"),
        "ar": ("واحد<!-- اثنان -->\n<gallery>\nملف:x.jpg|ثلاثة\n</gallery>\nأربعة", "واحد\n\nأربعة"),
    },
    "tables": {
        "en": ("a\n{| class=x\n|-\n! h || {{lang|de|b}}\n{| \n| c\n|}\n|}\nd", "a\n\nd"),
        "zh": ('甲\n{| class="wikitable"\n|+ 表\n|-\n| 乙 || 丙\n|}\n丁', "甲\n\n丁"),
        "ja": ("甲<table><tr><td>乙</td></tr></table>丙\n{|\n| 丁\n|}", "甲丙"),
        "vi": ("Một\n{|\n! hai\n|-\n| [[ba|bốn]]\n|}\nnăm", "Một\n\nnăm"),
        "uk": ("Один\n:{| border=1\n| два\n|}\nтри", "Один\n\nтри"),
        "ar": ("واحد\n{|\n| اثنان\n|}\nثلاثة", "واحد\n\nثلاثة"),
    },
    "lists": {
        "en": ("intro:\n* one\n** two\n# three\n: indented\n; term", "intro:\n- one\n- two\n- three\nindented\nterm"),
        "zh": ("列表：\n* 甲\n#乙\n:丙", "列表：\n- 甲\n- 乙\n丙"),
        "ja": ("一覧：\n*甲\n*[[乙]]\n*;丙", "一覧：\n- 甲\n- 乙\n丙"),
        "vi": ("Gồm:\n* một\n# hai\n<ul><li>ba</li></ul>", "Gồm:\n- một\n- hai\n\n- ba"),
        "uk": ("Перелік:\n* один\n*# два\n:: три", "Перелік:\n- один\n- два\nтри"),
        "ar": ("قائمة:\n* واحد\n# اثنان\n: ثلاثة", "قائمة:\n- واحد\n- اثنان\nثلاثة"),
    },
    "headings and sections of links": {
        "en": ("== A ==\n=== B ===\nx\n== Empty ==\n== External links ==\n* y\n== C ==\nz", "A\n\nB\n\nx\n\nC\n\nz"),
        "zh": ("== 历史 ==\n文\n== 外部链接 ==\n* [http://x 站]\n[[分类:人]]", "历史\n\n文"),
        "ja": ("== 歴史 ==\n文\n=== 近代 ===\n{{節スタブ}}\n== 外部リンク ==\n* [http://x 公式]", "歴史\n\n文"),
        "vi": ("== Lịch sử ==\nchữ\n==Liên kết ngoài==\n* [http://x y]", "Lịch sử\n\nchữ"),
        "uk": ("== Історія ==\nтекст\n== Посилання ==\n* [http://x сайт]\n== Далі ==\nще", "Історія\n\nтекст\n\nДалі\n\nще"),
        "ar": ("== التاريخ ==\nنص\n== وصلات خارجية ==\n* [http://x موقع]", "التاريخ\n\nنص"),
    },
    "numbers and units": {
        "en": ("{{convert|1300|mi|km}} {{val|1.5|0.2|u=kg}} {{frac|1|2}} {{formatnum:12}}", "1300 mi 1.5 ± 0.2 kg 1/2 12"),
        "zh": ("面积{{convert|891.8|km2}}，人口{{formatnum:3769495}}", "面积891.8 km²，人口3769495"),
        "ja": ("面積{{convert|891.8|km2}}、{{val|5|u=m}}、{{frac|1|3}}", "面積891.8 km²、5 m、1/3"),
        "vi": ("rộng {{convert|3358|km2|abbr=on}}, {{số|5}}", "rộng 3358 km², 5"),
        "uk": ("площа {{convert|839|км2}}, {{число|5}}, {{nobr|3 кг}}", "площа 839 км2, 5, 3 кг"),
        "ar": ("مساحة {{convert|891.8|km2}} و{{formatnum:3769495}}", "مساحة 891.8 km² و3769495"),
    },
    "other languages' words": {
        "en": ("{{lang|de|Berlin}} ({{lang-fr|Paris}}, {{transl|ar|al-Jazā'ir}})", "Berlin (Paris, al-Jazā'ir)"),
        "zh": ("'''柏林'''（{{lang-de|Berlin}}，{{lang|en|Berlin}}）", "柏林（Berlin，Berlin）"),
        "ja": ("{{読み仮名|'''生物'''|せいぶつ|{{lang-en|life}}}}と{{仮リンク|甲|en|A}}", "生物（せいぶつ、life）と甲"),
        "vi": ("'''Hà Nội''' ({{zh|c=河內|p=Hénèi}}, {{lang-fr|Hanoï}})", "Hà Nội (河內; Hénèi, Hanoï)"),
        "uk": ("'''Метр''' ({{lang-el|μέτρον}}; {{lang|fr|m}}) і {{нп|Ціль|показ|en|X}}", "Метр (μέτρον; m) і показ"),
        "ar": ("'''برلين''' ({{lang-de|Berlin}}؛ {{لغة|de|Berlin}})", "برلين (Berlin؛ Berlin)"),
    },
    "quotations": {
        "en": ("a\n{{quote|text=Two\nlines|author=B}}\nc<blockquote>d</blockquote>", "a\n\nTwo\nlines\n\nc\n\nd"),
        "zh": ("甲\n{{引文|乙丙|丁}}\n戊", "甲\n\n乙丙\n\n戊"),
        "ja": ("甲\n{{Quotation|乙丙|丁}}\n戊", "甲\n\n乙丙\n\n戊"),
        "vi": ("một\n{{cquote|hai ba}}\nbốn", "một\n\nhai ba\n\nbốn"),
        "uk": ("один\n{{цитата|два три|автор=А}}\nчотири", "один\n\nдва три\n\nчотири"),
        "ar": ("واحد\n{{اقتباس|اثنان ثلاثة}}\nأربعة", "واحد\n\nاثنان ثلاثة\n\nأربعة"),
    },
    "hatnotes and maintenance": {
        "en": ("{{Main|B}}\n{{Citation needed|date=May 2016}}a{{cn}} b.{{Clarify}}", "a b."),
        "zh": ("{{Main|乙}}\n{{unreferenced|time=2016}}甲{{fact}}。", "甲。"),
        "ja": ("{{Main|乙}}\n{{出典の明記}}甲{{要出典}}。", "甲。"),
        "vi": ("{{chính|Hai}}\nMột{{cần chú thích}}.", "Một."),
        "uk": ("{{Основна стаття|Два}}\nОдин{{джерело}}.", "Один."),
        "ar": ("{{Main|اثنان}}\nواحد{{cn}}.", "واحد."),
    },
    "infoboxes": {
        "en": ("{{Infobox city\n| name = [[B]]\n| pop = {{formatnum:5}}\n}}\n'''A''' is", "A is"),
        "zh": ("{{基礎情報 国\n| 名 = 乙\n}}\n{{城市信息框\n| 名 = 乙\n}}'''甲'''是", "甲是"),
        "ja": ("{{基礎情報 国\n|日本語国名 = 乙\n}}\n'''甲'''は", "甲は"),
        "vi": ("{{Thông tin đơn vị hành chính\n| tên = Hai\n}}\n'''Một''' là", "Một là"),
        "uk": ("{{Картка:Місто\n| назва = Два\n}}\n'''Один''' —", "Один —"),
        "ar": ("{{صندوق معلومات مدينة\n| الاسم = اثنان\n}}\n'''واحد''' هي", "واحد هي"),
    },
    "magic words": {
        "en": ("__NOTOC__a {{DEFAULTSORT:b}}__INDEX__", "a"),
        "zh": ("__無目錄__甲{{DEFAULTSORT:b}}", "甲"),
        "ja": ("__目次非表示__甲{{DEFAULTSORT:こう}}", "甲"),
        "vi": ("__KHÔNGMỤCLỤC__một{{DEFAULTSORT:mot}}", "một"),
        "uk": ("__БЕЗ_ЗМІСТУ__один{{DEFAULTSORT:один}}", "один"),
        "ar": ("__لافهرس__واحد{{DEFAULTSORT:واحد}}", "واحد"),
    },
    "literal text, formulas, powers, entities": {
        "en": ("<nowiki>[[a]]</nowiki> <math>x^2</math> 10<sup>-6</sup> H<sub>2</sub>O &lt;b&gt;", "[[a]] x^2 10⁻⁶ H2O <b>"),
        "zh": ("<nowiki>{{甲}}</nowiki>，<math>\\pi</math>，m<sup>2</sup>，&ldquo;乙&rdquo;", "{{甲}}，\\pi，m²，“乙”"),
        "ja": ("<nowiki>'''甲'''</nowiki>、<math>E</math>、m<sup>3</sup>、乙&nbsp;丙", "'''甲'''、E、m³、乙 丙"),
        "vi": ("<nowiki>[[một]]</nowiki>, <chem>H2O</chem>, 5<sup>2</sup>, &mdash;", "[[một]], H2O, 5², —"),
        "uk": ("<nowiki>{{{один}}}</nowiki>, <math>a</math>, 2<sup>3</sup>, &laquo;два&raquo;", "{{{один}}}, a, 2³, «два»"),
        "ar": ("<nowiki>[[واحد]]</nowiki>، <math>a</math>، 2<sup>3</sup>، &quot;x&quot;", '[[واحد]]، a، 2³، "x"'),
    },
    "external links": {
        "en": ("see [http://x.org the [big] site], [https://y.org].", "see the [big] site."),
        "zh": ("见[http://x.org 网站]。", "见网站。"),
        "ja": ("[//x.org 公式サイト]を見る。", "公式サイトを見る。"),
        "vi": ("xem [http://x.org trang web].", "xem trang web."),
        "uk": ("див. [http://x.org сайт] і [mailto:a@b.c пошту].", "див. сайт і пошту."),
        "ar": ("انظر [http://x.org الموقع].", "انظر الموقع."),
    },
    "what is never closed": {
        "en": ("{{unclosed|a\n\nprose [[b|c]] <ref>d", "prose c d"),
        "zh": ("{{未完|a\n\n文[[乙|丙", "文丙"),
        "ja": ("{{未完|a\n\n文{|", "文"),
        "vi": ("[[Tập tin:a.jpg|nhỏ|hai\nmột", "một"),
        "uk": ("[[Файл:a.jpg|міні|два\nодин '''три", "один три"),
        "ar": ("{{واحد|a\n\nنص ]]", "نص"),
    },
}  # fmt: skip


@pytest.mark.parametrize(("construct", "language"), [(name, code) for name in MATRIX for code in MATRIX[name]])
def test_a_construct_reads_in_each_language_as_its_reader_sees_it(construct, language):
    markup, text = MATRIX[construct][language]
    assert WikitextConverter({}, language, WIKITEXT).to_text(markup, "2016-04-22T10:19:33Z", "Title") == text


def test_the_matrix_is_whole():
    assert all(list(row) == ["en", "zh", "ja", "vi", "uk", "ar"] for row in MATRIX.values())
    assert len(MATRIX) == 18


LEDGERS = {
    "en": ("A ({{unheard of|x}}, b {{Unheard_of}}) {{Main|C}}{{cite web|d}}", "A (b)", {"unheard of": 2}),
    "zh": ("甲（{{从未听说|乙}}、丙）{{Main|丁}}{{cite web|d}}", "甲（丙）", {"从未听说": 1}),
    "ja": ("甲（{{聞いたことがない|乙}}、丙）「{{未知}}」", "甲（丙）", {"聞いたことがない": 1, "未知": 1}),
    "vi": ("Một ({{chưa nghe|hai}}, ba){{chú thích web|x}}", "Một (ba)", {"chưa nghe": 1}),
    "uk": ("Один ({{Нечуване|два}}; три), {{нечуване}} чотири{{ref-en}}", "Один (три), чотири", {"нечуване": 2}),
    "ar": ("واحد ({{مجهول|اثنان}}، ثلاثة)", "واحد (ثلاثة)", {"مجهول": 1}),
}


@pytest.mark.parametrize("language", LEDGERS)
def test_what_no_rule_knows_is_closed_up_and_counted_by_its_name(language):
    markup, text, dropped = LEDGERS[language]
    converted = WikitextConverter({}, language, WIKITEXT).convert(markup)
    assert (converted.text, dict(converted.dropped)) == (text, dropped)
