"""What page furniture says, by rule and language: regular expressions for a whole line, bullets and end marks apart.

To add a wording: one alternative here, one line in the table of ``tests/test_readers_boilerplate.py``. Keep to what no
sentence of an article says.
"""

_NETWORK = (
    r"(?:facebook|fb|twitter|x|instagram|whats ?app|telegram|linkedin|pinterest|reddit|youtube|tik ?tok"
    r"|line|wechat|weibo|e-?mail|messenger|tumblr|flipboard|threads|bluesky|mastodon|vk|viber|xing|pocket"
    r"|sms|(?:新浪)?微博|微信|朋友圈|qq|qq空间|豆瓣|臉書|脸书|推特|はてなブックマーク|はてブ|フェイスブック"
    r"|ツイッター|페이스북|트위터|카카오톡|вконтакте|одноклассники|фейсбук|телеграм|твиттер|فيسبوك|تويتر"
    r"|واتس ?[اآ]ب|تلغرام|تيليجرام|لينكد ?إن)"
)
# Without the names that are words of other sentences too.
_PLATFORM = (
    r"(?:facebook|twitter|instagram|whatsapp|telegram|linkedin|pinterest|youtube|tiktok|weibo|bluesky"
    r"|mastodon)"
)
_DATE = r"(?:\d{1,2}\D{1,12}\d{4}|\d{4}\D{1,3}\d{1,2}\D{1,3}\d{1,2}|[^\W\d]{3,12}\.? \d{1,2},? \d{4}).{0,25}"
COOKIES = {
    "en": (
        r"(?:we|we and our partners|this (?:web)?site|our (?:web)?site) (?:uses?"
        r"|stores?) cookies\b.*\b(?:experience|site|website|content|browser|brows\w+|consent|preferences"
        r"|analy\w+|ads|privacy|traffic)\b.*|this (?:web)?site uses cookies|we use cookies"
        r"|by (?:using|continuing)\b.*\buse of cookies\b.*|(?:accept|allow|reject|manage)(?: all)? cookies"
        r"|cookies? (?:settings|preferences|policy)|we value your privacy"
    ),
    "de": (
        r"(?:diese (?:web)?(?:seite|site)|unsere (?:web)?(?:seite|site)|wir) (?:verwende[nt]|nutz(?:t|en)"
        r"|setz(?:t|en))\b.{0,60}\bcookies\b.*|(?:alle )?cookies (?:akzeptieren|ablehnen|zulassen)"
        r"|cookie-?einstellungen|datenschutzeinstellungen"
    ),
    "fr": (
        r"(?:ce site|notre site|nous) (?:utilis\w+|dépos\w+)\b.{0,60}\bcookies\b.*"
        r"|en poursuivant votre navigation\b.*\bcookies\b.*"
        r"|(?:accepter|refuser|gérer|paramétrer) (?:tous )?(?:les|mes|vos)? ?cookies"
    ),
    "es": (
        r"(?:este (?:sitio|portal)(?: web)?|esta (?:web|página)(?: web)?) (?:utiliza|usa"
        r"|emplea)\b.{0,40}\bcookies\b.*|(?:utilizamos|usamos) cookies\b.*"
        r"|(?:aceptar|rechazar)(?: todas)?(?: las)? cookies"
    ),
    "pt": r"este site (?:utiliza|usa) cookies\b.*|aceitar(?: todos)?(?: os)? cookies",
    "it": r"questo sito (?:utilizza|usa)\b.{0,40}\bcookie\b.*|accetta(?: tutti)?(?: i)? cookie",
    "ru": (
        r"(?:(?:этот|наш|данный) сайт|мы) использу\w+ .{0,20}(?:cookies?|куки)\b.*"
        r"|принять (?:все )?(?:cookies?|куки)"
    ),
    "uk": r"(?:цей|наш) сайт використовує .{0,20}(?:cookies?|кукі)\b.*",
    "ar": (
        r"(?:(?:يستخدم|تستخدم) (?:هذا الموقع|موقعنا)|(?:يستخدم )?هذا الموقع يستخدم"
        r"|(?:نحن )?نستخدم) .{0,15}(?:ملفات تعريف الارتباط|الكوكيز|cookies).*"
        r"|قبول (?:جميع |كل )?ملفات تعريف الارتباط"
    ),
    "zh": (
        r"(?:本网站|本網站|本站|我们|我們)(?:会|會|将)?(?:使用|采用|採用) ?(?:cookies?|曲奇).*"
        r"|接受(?:所有|全部)? ?cookies?"
    ),
    "ja": (
        r"(?:当サイト|本サイト|このサイト|当ウェブサイト)(?:で)?は.{0,20}(?:cookies?|クッキー).*"
        r"|(?:すべての)?(?:cookie|クッキー)を(?:許可|拒否|受け入れ)(?:する|る)?"
    ),
    "ko": r"(?:이|본|저희) ?(?:사이트|웹사이트)(?:는|은|에서는) .{0,20}쿠키.*",
}
SHARE = {
    "": rf"{_NETWORK}(?:[\s,/|·•]+(?:(?:and|und|et|y|e|и|و) )?{_NETWORK})+",
    "en": (
        rf"(?:please )?share(?: (?:this|it|the))?(?: (?:story|article|post|page|news|link))?(?: (?:on|via|by"
        rf"|with|to) (?:{_NETWORK}|social media|(?:a |your )?friends?))?"
        rf"|like this (?:story|article|post)\? share it with a friend|(?:click to )?(?:re)?tweet(?: this)?"
        rf"|cop(?:y|ied)(?: this)? link|link copied"
    ),
    "de": rf"(?:(?:diesen )?(?:artikel|beitrag) |seite )?(?:(?:auf|per|via|bei|über) {_NETWORK} )?teilen",
    "fr": rf"partage[rz](?: cet article| l'article| cette page)?(?: (?:sur|par|via) {_NETWORK})?",
    "es": rf"compart(?:ir|e)(?: est[ea])?(?: la| el)?(?: noticia| artículo| nota)?(?: (?:en|por|vía) {_NETWORK})?",
    "pt": rf"compartilh(?:ar|e)(?: est[ea])?(?: notícia| artigo| matéria)?(?: (?:no|por|via) {_NETWORK})?",
    "it": rf"condividi(?: (?:questo )?articolo)?(?: (?:su|via) {_NETWORK})?",
    "ru": (
        rf"подели(?:ться|тесь)(?: (?:новостью|статьей|статьёй|ссылкой))?(?: (?:в|на|с|через)? ?(?:{_NETWORK}"
        rf"|друзьями|соцсетях))?"
    ),
    "uk": (
        rf"поділи(?:тися|тись|ться)(?: (?:новиною|статтею))?(?: (?:в|у|на|з|через)? ?(?:{_NETWORK}|друзями"
        rf"|соцмережах))?"
    ),
    "ar": (
        rf"(?:شارك|شاركها|شاركه|مشاركة|انشر)(?: (?:هذا|هذه))?(?: (?:الخبر|المقال|المقالة|الموضوع"
        rf"|الصفحة))?(?: (?:على|عبر|مع) (?:{_NETWORK}|أصدقائك))?"
    ),
    "zh": (
        rf"(?:一键)?(?:分享|转发|轉發)(?:本文|文章|此文|这篇文章)?(?:到|至|给|給)?[:： ]?(?:{_NETWORK}[、 ]?|朋友"
        rf"|好友)*"
    ),
    "ja": rf"(?:(?:この)?(?:記事|ページ)を)?(?:{_NETWORK}で)?(?:シェア|ツイート|共有|ポスト)(?:する|しよう|してね)?",
    "ko": rf"(?:이 )?(?:기사 ?)?(?:{_NETWORK}(?:으로|에) )?공유(?:하기)?",
    "vi": rf"chia sẻ(?: bài viết)?(?: (?:lên|qua) {_NETWORK})?",
}
READ_MORE = {
    "en": (
        r"(?:read|see|load|view|learn) (?:more|full (?:story|article))|continue reading|keep reading"
        r"|(?:story|article) continues (?:below|after)(?: (?:the )?(?:ad|advertisement))?"
        r"|scroll (?:down )?to continue|explore further"
    ),
    "de": r"weiterlesen|mehr (?:lesen|dazu|erfahren|anzeigen)|lesen sie (?:mehr|weiter)",
    "fr": r"lire la suite|en savoir plus|voir plus",
    "es": r"le(?:er|a|e) (?:más|además)|ver más|seguir leyendo",
    "pt": r"leia mais|saiba mais|continue lendo",
    "it": r"leggi (?:tutto|di più)|continua a leggere",
    "ru": r"читать (?:далее|дальше|полностью)|подробнее",
    "uk": r"читати (?:далі|більше)|детальніше",
    "ar": r"المزيد|[اإ]قر[أا] المزيد|تابع القراءة",
    "zh": (r"(?:点击)?(?:阅读|查看|閱讀|了解|瀏覽)(?:更多|全文|原文)(?:内容)?|展开(?:全文|剩余全文)|上一篇|下一篇"),
    "ja": (
        r"(?:記事の)?続き(?:を|は)(?:読む|見る|こちら)|(?:もっと|さらに|詳しく)(?:読む|見る)"
        r"|(?:全文|続き)を(?:表示|読む)|次のページ|前のページ"
    ),
    "ko": r"더 ?(?:보기|읽기)|기사 ?더보기",
    "vi": r"đọc (?:thêm|tiếp)",
}
#: What stands above links to other pages.
LINK_HEADINGS = {
    "en": (
        r"(?:related|popular|recommended|trending|latest|more) (?:news|articles?|stories|posts?|topics|content"
        r"|links|videos?)|related|also read|read also|read next|see also"
        r"|you (?:may|might) (?:also )?(?:like|enjoy|be interested in)"
        r"|most (?:read|popular|viewed)(?: in [\w ]{2,30})?|more on this(?: (?:story|topic))?"
        r"|in case you missed it|recommended for you|don't miss"
    ),
    "de": (
        r"mehr zum thema|lesen sie auch|das könnte sie auch interessieren|auch interessant"
        r"|ähnliche (?:artikel|beiträge)|verwandte (?:artikel|themen)|meistgelesen(?:e artikel)?"
    ),
    "fr": (
        r"(?:à )?lire (?:aussi|également)|voir aussi|(?:articles|sujets) (?:liés|similaires|connexes)"
        r"|sur le même (?:sujet|thème)|les plus lus|dans la même rubrique"
    ),
    "es": (
        r"le(?:er|a|e) también|(?:noticias|artículos|contenidos?|temas|notas) relacionad[oa]s?"
        r"|(?:te|le) puede interesar|(?:lo )?más leído"
    ),
    "pt": r"leia também|veja também|(?:notícias|matérias) relacionadas",
    "it": r"leggi anche|articoli correlati|potrebbe interessarti",
    "ru": (
        r"читайте (?:также|далее|ещё|еще)|(?:(?:ещё|еще) |материалы |новости )?по теме"
        r"|(?:похожие|связанные|другие) (?:новости|статьи|материалы)|самое читаемое|смотрите также"
    ),
    "uk": r"читайте (?:також|далі|ще)|дивіться також",
    "ar": (
        r"[اإ]قر[أا] (?:أيض|ايض)[اً]{1,2}|(?:شاهد|طالع) أيض[اً]{1,2}"
        r"|(?:مواضيع|أخبار|مقالات) (?:ذات صلة|متعلقة|مشابهة)|قد يعجبك أيض[اً]{1,2}|الأكثر قراءة"
    ),
    "zh": (
        r"(?:相关|相關)(?:阅读|閱讀|新闻|新聞|文章|推荐|报道|報導|链接)|(?:延伸|推荐|推薦)(?:阅读|閱讀)"
        r"|更多(?:精彩)?(?:内容|新闻|新聞|文章|報導)|热门(?:文章|新闻|推荐)|猜你喜欢"
    ),
    "ja": (
        r"関連(?:記事|ニュース|リンク|トピックス)|(?:あわせて|合わせて|こちらも|次に)読みたい|おすすめ(?:の)?記事"
        r"|(?:人気|新着|注目)(?:記事|ニュース)|(?:記事|アクセス)ランキング"
    ),
    "ko": r"관련 ?(?:기사|뉴스)|많이 본 (?:뉴스|기사)",
    "vi": r"xem thêm|tin liên quan|bài viết liên quan",
}
READ_MORE_COLON = {
    "": (
        r"(?:related(?: (?:post|article|story|stories|content|video|link)s?)?|read (?:more|also|next)|also read"
        r"|lesen sie auch|mehr zum thema|(?:à )?lire aussi|lea también|leia também|leggi anche|читайте также"
        r"|читайте також|[اإ]قر[أا] أيض[اً]{1,2}|(?:相关|相關|延伸)(?:阅读|閱讀)|関連記事|あわせて読みたい"
        r"|관련 ?기사|xem thêm)\s?[:：]\s?.{3,150}"
    ),
}
ADVERTISEMENT = {
    "": (
        r"advertisements?|sponsored(?: content)?|anzeige|werbung|publicité|publicidade?|pubblicità|реклама"
        r"|إعلان(?:ات)?|广告|廣告|広告|スポンサーリンク|광고|quảng cáo"
    ),
}
TOOLS = {
    "en": (
        r"(?:print|e-?mail|save|bookmark)(?: this)? (?:article|page|story)|print(?:er)?[- ]friendly(?: version)?"
        r"|order reprints?|listen to this (?:article|story)|toggle (?:caption|navigation)|hide caption"
        r"|skip to (?:main )?content|back to (?:the )?top|an error has occurred\W{1,2}please try again later"
        r"|thank you for (?:signing up|subscribing)|thanks for signing up"
        r"|there was an error processing your subscription|this article has been sent to|enlarge this image"
    ),
    "de": r"artikel (?:drucken|merken|versenden)|seite drucken|nach oben",
    "fr": r"imprimer(?: (?:cet|l')\s?article)?|envoyer par e-?mail|retour en haut",
    "es": r"imprimir(?: (?:artículo|noticia|notícia))?|enviar por (?:correo|e-?mail)|volver arriba",
    "ru": r"распечатать|версия для печати|наверх",
    "ar": r"طباعة(?: الخبر| المقال)?|أعلى الصفحة",
    "zh": r"打印(?:本页|本文)?|列印|字号|字體大小|收藏本文|返回(?:顶部|首页)",
    "ja": r"印刷(?:する)?|(?:ページの)?(?:先頭|トップ)へ(?:戻る)?|文字サイズ",
    "ko": r"인쇄(?:하기)?|글자 ?크기",
}
COMMENTS = {
    "en": (
        r"(?:\d+ )?comments?(?: \(?\d+)?"
        r"|(?:leave|post|add|write|view|read|show|hide) (?:a |all |the )?(?:comments?|reply)(?: \(?\d+)?"
        r"|(?:join|start) the (?:conversation|discussion)|tell us what you think|comments are closed"
    ),
    "de": r"(?:\d+ )?kommentare?(?: \(?\d+)?|kommentar (?:schreiben|verfassen|hinterlassen)",
    "fr": r"(?:\d+ )?commentaires?|(?:laisser|ajouter) un commentaire|réagir",
    "es": r"(?:\d+ )?comentarios?|(?:deja|escribe|añade) (?:un|tu) comentario",
    "pt": r"(?:\d+ )?comentários?|deixe (?:um|seu) comentário",
    "it": r"(?:\d+ )?commenti|lascia un commento",
    "ru": r"(?:\d+ )?комментари(?:и|й|ев|я)(?: \(?\d+)?|(?:оставить|добавить|написать) комментарий|обсудить",
    "ar": r"(?:\d+ )?(?:تعليق(?:ات)?|التعليقات)|(?:أضف|اترك|اكتب) تعليق[اً]{0,2}",
    "zh": r"(?:全部|最新|热门|网友|发表|發表|我要|写)?(?:评论|評論|留言|跟帖)(?:区|區)? ?\(?\d*条?",
    "ja": r"(?:\d+件の)?コメント(?:する|を書く|を投稿(?:する)?|一覧)?(?: ?\(?\d+件?)?",
    "ko": r"댓글(?: ?쓰기)?(?: ?\d+)?",
    "vi": r"(?:\d+ )?bình luận",
}
NEWSLETTER = {
    "en": (
        r"(?:(?:click here to )?(?:sign up|subscribe)|get|receive|join)\b.{0,200}\b(?:newsletters?"
        r"|(?:in )?your inbox|mailing list|e-?mail alerts|youtube channel|on youtube)\b.{0,100}"
        r"|sign up: .{0,200}newsletters?\b.{0,20}|(?:(?:our|free|daily|weekly|e-?mail) )*newsletters?"
        r"|subscribe(?: now| today)?|sign up(?: now| here)?"
    ),
    "de": (
        r"(?:jetzt )?(?:den |unseren |zum |für den )?(?:[\w-]{1,20} )?newsletter (?:abonnieren|anmelden"
        r"|bestellen)|(?:abonnieren|melden) sie\b.{0,80}\bnewsletter\b.{0,40}|jetzt abonnieren"
    ),
    "fr": (
        r"(?:inscrivez|abonnez)-vous\b.{0,80}\b(?:newsletters?|lettre d'information|infolettre)\b.{0,40}"
        r"|s'abonner"
    ),
    "es": (
        r"(?:suscríbe(?:te|ase)|suscríbase|regístrate|recibe)\b.{0,80}\b(?:newsletter|boletín|correo"
        r"|canal)\b.{0,40}"
    ),
    "pt": r"(?:inscreva-se|assine|cadastre-se)\b.{0,80}\b(?:newsletter|boletim|canal)\b.{0,40}",
    "it": r"(?:iscriviti|abbonati)\b.{0,80}\b(?:newsletter|canale)\b.{0,40}",
    "ru": r"подпи(?:сывайтесь|шитесь|саться) на\b.{0,100}",
    "uk": r"підпи(?:суйтес[ья]|шіться|сатися) на\b.{0,100}",
    "ar": r"(?:اشترك|سجل|انضم) .{0,40}(?:النشرة|نشرتنا|القائمة البريدية|قناتنا).{0,40}",
    "zh": (
        r"(?:订阅|訂閱|关注|關注|扫码关注|长按).{0,15}(?:通讯|電子報|电子报|公众号|微信号|二维码|频道|頻道)"
        r"|(?:关注|關注|订阅|訂閱)(?:我们|我們)"
    ),
    "ja": r".{0,20}(?:メールマガジン|メルマガ|ニュースレター)(?:に|を|の)?(?:登録|購読|申し込み).{0,12}",
    "ko": r"뉴스레터 (?:구독|신청).{0,15}",
}
FOLLOW = {
    "en": (
        rf"(?:follow [\w.&@' ]{{2,60}}|(?:like|find|join) us|connect with us|reach (?:the )?(?:reporters?"
        rf"|authors?|writers?)(?: [\w ]{{2,40}})?) (?:on|at|via) .{{0,40}}\b{_PLATFORM}\b.{{0,100}}"
    ),
    "de": rf"folgen sie uns\b.{{0,40}}\b{_PLATFORM}\b.{{0,60}}",
    "fr": rf"suivez[- ]nous\b.{{0,40}}\b{_PLATFORM}\b.{{0,60}}",
    "es": rf"(?:síguenos|sigue a [\w ]{{2,30}})\b.{{0,40}}\b{_PLATFORM}\b.{{0,60}}",
    "ru": rf"(?:читайте нас|следите за нами)\b.{{0,40}}(?:{_PLATFORM}|{_NETWORK}).{{0,40}}",
    "ar": rf"(?:تابعنا|تابعونا) (?:على|عبر) .{{0,20}}{_NETWORK}.{{0,40}}",
    "ja": rf"(?:公式)?(?:アカウント|{_NETWORK})を?フォロー(?:する|しよう)?",
}
RIGHTS = {
    "": (
        r"(?:copyright ?)?[©ⓒ].{0,200}|copyright \d{4}\b.{0,150}"
        r"|.{0,150}\b(?:all rights reserved|alle rechte vorbehalten|tous droits réservés"
        r"|todos los derechos reservados|todos os direitos reservados|tutti i diritti riservati"
        r"|все права защищены|усі права захищені)\b.{0,80}"
        r"|.{0,60}(?:جميع الحقوق محفوظة|版权所有|版權所有|未经(?:授权|许可|允许).{0,12}(?:转载|使用)|無断(?:転載"
        r"|複製)[^。]{0,8}禁|무단 ?전재).{0,60}"
    ),
}
MARKERS = {
    "tags": (
        r"(?:tags?|filed under|topics?|keywords?|schlag(?:wörter|worte)|mots-clés|etiquetas|теги|ключевые слова"
        r"|الوسوم|كلمات (?:دلالية|مفتاحية)|标签|標籤|关键词|關鍵詞|タグ|キーワード|태그)(?: ?[:：] ?.{0,150})?"
    ),
    "minutes": (
        r"(?:(?:estimated )?reading time|lese(?:zeit|dauer)|temps de lecture|tiempo de lectura|tempo de leitura"
        r"|tempo di lettura|время чтения|час читання|(?:مدة|وقت) القراءة|(?:预计)?阅读(?:时间|时长)|閱讀時間"
        r"|読了(?:時間|目安)) ?[:：]? ?.{0,20}|\d+[- ]?min(?:ute)?s? read"
    ),
    "dates": (
        rf"(?:published|posted|updated|last (?:updated|modified)|veröffentlicht|aktualisiert|publié|mis à jour"
        rf"|publicado|actualizado|atualizado|pubblicato|опубликовано|обновлено|опубліковано|оновлено|نشر في"
        rf"|آخر تحديث|发布时间|发布于|更新时间|發布時間|公開日|更新日|投稿日|기사입력|입력|수정)(?: (?:on|at|am"
        rf"|le|el|il|em))?[\s:：\[(]{{0,4}}{_DATE}"
    ),
}
