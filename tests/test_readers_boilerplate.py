"""Boilerplate lines: what goes, by which rule, in which language; and what must stay."""

import pytest

from pipelines.readers.web.boilerplate import AT_THE_EDGES, drop_boilerplate, matching_rule

FIRST = "The council decided on Monday that the old mill will be restored."
LAST = "It was built in 1912 by a miller from the next valley."

GOES_ANYWHERE = {
    "cookies": (
        "We use cookies to give you the best experience on our website.", "This website uses cookies.",
        "Accept all cookies", "Diese Website verwendet Cookies, um Inhalte zu personalisieren.",
        "Alle Cookies akzeptieren", "Ce site utilise des cookies pour améliorer votre expérience.",
        "Accepter les cookies", "Este sitio web utiliza cookies propias y de terceros.",
        "Questo sito utilizza i cookie.", "Этот сайт использует файлы cookie.",
        "Наш сайт використовує файли cookie.", "يستخدم هذا الموقع ملفات تعريف الارتباط لتحسين تجربتك.",
        "本网站使用Cookie以改善您的体验。", "当サイトではクッキーを使用しています。",
        "이 웹사이트는 서비스 개선을 위해 쿠키를 사용합니다.",
    ),
    "share": (
        "Share this article", "Share on Facebook", "Click to Tweet", "Facebook Twitter WhatsApp",
        "Facebook | Twitter | LinkedIn", "Like this story? Share it with a friend!", "Auf Facebook teilen",
        "Artikel teilen", "Partager sur Twitter", "Partager cet article", "Compartir en WhatsApp",
        "Compartilhar no Facebook", "Condividi su Facebook", "Поделиться в Telegram", "Поделиться:",
        "Поділитися у Facebook", "شارك على فيسبوك", "مشاركة", "شارك هذا الخبر", "分享到：", "分享到微信",
        "转发到微博", "この記事をシェア", "ツイート", "Facebookでシェアする", "기사 공유하기", "Chia sẻ bài viết",
    ),
    "read_more": (
        "Read more", "Read More →", "- Continue reading…", "RELATED ARTICLES", "You may also like:",
        "Most read in world news", "Related: From Big Bang to present", "[Related: Dreamforce keynote]",
        "Story continues below advertisement", "Weiterlesen »", "Lesen Sie auch: Der Streit um die Mühle",
        "Mehr zum Thema", "Das könnte Sie auch interessieren", "Lire aussi", "À lire aussi : Le moulin a cent ans",
        "Lire la suite", "Leer más", "Lea también: El molino cumple cien años", "Noticias relacionadas",
        "Leia também", "Leggi anche", "Читать далее", "Читайте также: Мельница открыта", "По теме", "Читайте також",
        "اقرأ أيضا", "اقرأ أيضاً: الطاحونة القديمة", "المزيد", "阅读更多", "相关阅读：老磨坊的百年", "点击查看全文",
        "延伸閱讀", "続きを読む", "関連記事", "関連記事：製粉所の百年", "あわせて読みたい", "관련 기사", "Xem thêm",
    ),
    "advertisement": (
        "Advertisement", "ADVERTISEMENT", "Anzeige", "Publicité", "Publicidad", "Реклама", "إعلان", "广告", "広告",
        "광고",
    ),
    "tools": (
        "Order Reprints", "Print this article", "Skip to main content", "Artikel drucken", "Imprimer", "Распечатать",
        "An error has occurred, please try again later.", "طباعة", "打印本页", "印刷する", "ページの先頭へ戻る",
    ),
}  # fmt: skip
GOES_AT_THE_EDGES = {
    "comments": (
        "Comments", "12 comments", "Leave a comment", "Tell us what YOU think...", "Kommentar schreiben",
        "3 Commentaires", "Laisser un commentaire", "Comentarios", "Комментарии (5)", "Оставить комментарий",
        "أضف تعليق", "التعليقات", "发表评论", "网友评论", "コメントを書く", "댓글 3",
    ),
    "newsletter": (
        "Sign up for our daily newsletter", "Click here to subscribe to The Valley Newsletter", "Newsletter",
        "Get the news in your inbox.", "Jetzt Newsletter abonnieren", "Abonnez-vous à notre newsletter",
        "Suscríbete a nuestro boletín", "Подписывайтесь на наш канал", "اشترك في نشرتنا البريدية", "关注我们",
        "扫码关注公众号", "メールマガジンに登録", "뉴스레터 구독하기",
    ),
    "follow": (
        "Follow us on Facebook and Twitter.", "Reach the reporters on Twitter at @one and @two",
        "Folgen Sie uns auf Facebook", "Suivez-nous sur Instagram", "Síguenos en Twitter", "Читайте нас в Telegram",
        "تابعونا على فيسبوك", "Twitterをフォローする",
    ),
    "rights": (
        "© 2024 The Valley Paper", "Copyright 2024 The Valley Paper", "All rights reserved.",
        "Alle Rechte vorbehalten", "Tous droits réservés", "Todos los derechos reservados", "Все права защищены",
        "جميع الحقوق محفوظة", "版权所有，未经许可不得转载。", "記事の無断転載を禁じます。",
    ),
    "markers": (
        "Tags", "Filed under: mills, history", "Schlagwörter: Mühle", "Mots-clés : moulin", "Теги: мельница",
        "标签：磨坊", "タグ：製粉所", "5 min read", "Lesezeit: 3 Minuten", "阅读时间：3分钟",
        "Published 18 November 2019", "Updated: Nov 19, 2019", "发布时间：2024-05-01 10:00",
        "기사입력 :[ 2018-08-25 15:24 ]",
    ),
}  # fmt: skip
STAYS = (
    "We use cookies in this recipe, and butter.",
    "The site uses cookies, and so does everyone else, the judge said.",
    "She asked her readers to share this article with a friend who needs it.",
    "He posted the picture on Facebook and Twitter.",
    "Facebook",
    "Related work was done in Orléans in the nineties.",
    "Read more books, the teacher told them.",
    "Comments by the mayor drew anger on both sides.",
    "Copyright law has changed since then.",
    "Join us, the poster said.",
    "He wrote a newsletter.",
    "Follow the river to the mill.",
    "Published in 1912, the book was a success.",
    "Like most people on Twitter, she was shocked.",
    "Der Artikel wurde oft geteilt.",
    "Le site utilise la force du vent.",
    "Он поделился новостью с друзьями.",
    "شارك الآلاف في الاحتفال.",
    "我们使用水力磨面已有百年。",
    "关注环境，是我们每个人的责任。",
    "评论家认为这部电影很好。",
    "広告が街にあふれている。",
    "関連記事を読んだ人は多い。",
)


@pytest.mark.parametrize(("rule", "line"), [(rule, line) for rule, lines in GOES_ANYWHERE.items() for line in lines])
def test_page_furniture_goes_wherever_it_stands(rule, line):
    assert drop_boilerplate([FIRST, line, LAST], ()) == ([FIRST, LAST], {rule: 1})


@pytest.mark.parametrize(
    ("rule", "line"), [(rule, line) for rule, lines in GOES_AT_THE_EDGES.items() for line in lines]
)
def test_notices_go_at_the_beginning_and_the_end_alone(rule, line):
    assert matching_rule(line, AT_THE_EDGES) == rule
    assert drop_boilerplate([line, FIRST, LAST, line], ()) == ([FIRST, LAST], {rule: 2})
    assert drop_boilerplate([FIRST, line, LAST], ()) == ([FIRST, line, LAST], {})


@pytest.mark.parametrize("line", STAYS)
def test_a_line_of_the_article_stays_even_at_its_end(line):
    assert drop_boilerplate([FIRST, LAST, line], ()) == ([FIRST, LAST, line], {})


def test_a_long_line_is_never_boilerplate():
    line = "This website uses cookies " + "and many other things for a better experience " * 6
    assert drop_boilerplate([FIRST, line], ()) == ([FIRST, line], {})


@pytest.mark.parametrize(
    ("line", "titles"),
    [
        ("Old mill to be restored", ("Old mill to be restored",)),
        ("Old mill to be restored", ("Old mill to be restored | The Valley Paper",)),
        ("OLD MILL TO BE RESTORED!", ("Old mill", "Old mill to be restored – News")),
        ("老磨坊明年全面修复", ("老磨坊明年全面修复_新华网",)),
    ],
)
def test_the_title_goes_from_the_head_of_the_text(line, titles):
    assert drop_boilerplate(["News", line, FIRST], titles) == (["News", FIRST], {"title": 1})


def test_a_heading_that_is_part_of_the_title_stays():
    assert drop_boilerplate(["Mill", FIRST], ("Mill - a history",)) == (["Mill", FIRST], {})


def test_a_title_that_comes_late_is_a_quotation_and_stays():
    lines = [FIRST, LAST, FIRST, LAST, "Old mill"]
    assert drop_boilerplate(lines, ("Old mill",)) == (lines, {})


def test_links_at_the_end_go_with_their_heading():
    links = ["Related articles", "- Fifteen pictures of stars", "Eleven facts about the Milky Way"]
    assert drop_boilerplate([FIRST, LAST, *links], ()) == ([FIRST, LAST], {"related_links": 3})


def test_short_lines_after_a_button_stay():
    poem = ["The mill wheel turns", "the river runs"]
    assert drop_boilerplate([FIRST, "Read more", *poem], ()) == ([FIRST, *poem], {"read_more": 1})


def test_prose_after_a_heading_of_links_stays():
    lines = [FIRST, "Related articles", "- Fifteen pictures of stars", LAST]
    assert drop_boilerplate(lines, ()) == ([FIRST, "- Fifteen pictures of stars", LAST], {"read_more": 1})


def test_a_text_of_nothing_but_furniture_is_empty():
    assert drop_boilerplate(["Share", "Comments", "", "© 2024"], ()) == ([], {"share": 1, "comments": 1, "rights": 1})
