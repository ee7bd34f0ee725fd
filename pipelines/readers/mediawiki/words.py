"""Words that MediaWiki and its communities use, in many languages; every language's words act in every wiki.

What a dump says itself (``siteinfo``) goes beside these lists, which cover aliases that it leaves out and dumps that
lack it. All are lower case.
"""

# Names of the file and category namespaces, aliases included.
FILE_NAMES = (
    "file|image|media|datei|bild|fichier|archivo|imagen|immagine|ficheiro|imagem|arquivo|bestand|afbeelding|fil|bilde|"
    "billede|tiedosto|kuva|plik|grafika|soubor|súbor|obrázok|fájl|kép|fișier|imagine|dosya|resim|berkas|gambar|fail|imej|"
    "fitxer|imatge|fitxategi|irudi|imaxe|vaizdas|attēls|pilt|slika|datoteka|tập tin|hình|файл|изображение|зображення|"
    "картинка|датотека|слика|выява|αρχείο|εικόνα|ファイル|画像|文件|檔案|档案|图像|圖像|圖片|파일|그림|ملف|صورة|پرونده|تصویر|"
    "קובץ|תמונה|ไฟล์|ภาพ|चित्र|চিত্র|படிமம்"
)
CATEGORY_NAMES = (
    "category|kategorie|catégorie|categoría|categoria|categorie|kategori|luokka|kategoria|kategória|kategorija|kategória|"
    "categorie|thể loại|категория|категорія|катэгорыя|категорија|κατηγορία|カテゴリ|分类|分類|분류|تصنيف|رده|קטגוריה|"
    "หมวดหมู่|श्रेणी|वर्ग|বিষয়শ্রেণী|பகுப்பு"
)
# What stands behind the # of a redirect. Source: the magic words of MediaWiki's languages.
REDIRECT_WORDS = (
    "redirect|redirection|redirección|rinvia|weiterleitung|redirecionamento|doorverwijzing|patrz|przekieruj|"
    "omdirigering|ohjaus|přesměruj|presmeruj|átirányítás|yönlendirme|alih|lencong|redirecteix|birzuzendu|"
    "перенаправление|перенаправлення|виправлення|перанакіраванне|преусмеряване|виж|преусмери|пренасочување|đổi|重定向|転送|"
    "リダイレクト|넘겨주기|تحويل|تغییر[ _]مسیر|הפניה|เปลี่ยนทาง|अनुप्रेषित|पुनर्प्रेषित|पुनर्निर्देशन|পুনর্নির্দেশ|வழிமாற்று|ανακατευθυνση"
)

# fmt: off
# Sections that hold nothing but links to elsewhere.
LINK_SECTIONS = frozenset((
    "external links", "external link", "weblinks", "liens externes", "lien externe", "enlaces externos",
    "collegamenti esterni", "ligações externas", "externe links", "externe link", "externa länkar",
    "eksterne lenker", "eksterne henvisninger", "aiheesta muualla", "linki zewnętrzne", "externí odkazy",
    "externé odkazy", "külső hivatkozások", "legături externe", "dış bağlantılar", "pranala luar", "pautan luar",
    "liên kết ngoài", "ссылки", "внешние ссылки", "посилання", "зовнішні посилання", "външни препратки",
    "спољашње везе", "vanjske poveznice", "spoljašnje veze", "εξωτερικοί σύνδεσμοι", "enllaços externs",
    "ligazóns externas", "kanpoko estekak", "nuorodos", "ārējās saites", "välislingid", "外部リンク", "外部連結",
    "外部链接", "外部連接", "外部链结", "外部鏈接", "바깥 고리", "외부 링크", "وصلات خارجية", "روابط خارجية",
    "پیوند به بیرون", "קישורים חיצוניים", "बाहरी कड़ियाँ", "बाह्य दुवे", "बाह्य सूत्र", "แหล่งข้อมูลอื่น", "বহিঃসংযোগ",
    "வெளி இணைப்புகள்", "uorejuos saitys",
))
# Templates that make a page a disambiguation page; ``calls`` adds whatever ends in " disambiguation".
DISAMBIGUATION_TEMPLATES = frozenset((
    "disambiguation", "disambig", "dab", "disamb", "disambiguation page", "disambiguation cleanup", "hndis",
    "geodis", "human name disambiguation", "place name disambiguation", "schooldis", "hospitaldis", "roaddis",
    "mathdab", "numberdis", "letter disambig", "letter-numbercombdisambig", "sia", "begriffsklärung", "bkl",
    "homonymie", "paronymie", "patronymie", "desambiguación", "desambiguacion", "desambiguação", "desambig",
    "disambigua", "doorverwijspagina", "dp", "dpintro", "förgrening", "förgreningssida", "gren", "pekerside",
    "peker", "flertydig", "täsmennyssivu", "ujednoznacznienie", "rozcestník", "rozlišovacia stránka", "egyért",
    "egyértelműsítő lap", "dezambiguizare", "anlam ayrımı", "anlam ayrım", "disambig-tr", "disambig-nama",
    "nyahkekaburan", "desambiguació", "argipen", "homónimos", "nuorodinis", "disambig-lv", "nozīmju atdalīšana",
    "täpsustuslehekülg", "čvor", "višeznačna odrednica", "razdvojba", "вишезначна одредница", "неоднозначность",
    "неоднозначное название", "disambig-uk", "неоднозначність", "багатозначність", "багатозначні топоніми",
    "географія-багатозначність", "особа-багатозначність", "багатозначне слово", "неадназначнасць", "пояснение",
    "пояснителна страница", "појаснување", "αποσαφήνιση", "曖昧さ回避", "aimai", "人名の曖昧さ回避",
    "地名の曖昧さ回避", "同名の人物", "同名の地名", "消歧义", "消歧義", "消歧义页", "消歧義頁", "地名消歧義",
    "人名消歧義", "地名消歧义", "人名消歧义", "동음이의", "동명이인", "동음이의어", "지명 동음이의", "توضيح",
    "صفحة توضيح", "ابهام‌زدایی", "ابهام زدایی", "صفحهٔ ابهام‌زدایی", "ضد ابہام", "פירושונים", "פרושונים", "แก้กำกวม",
    "คำกำกวม", "बहुविकल्पी", "बहुविकल्पी शब्द", "निःसंदिग्धीकरण", "नि:संदिग्धीकरण", "दुवा नि:संदिग्धीकरण", "দ্ব্যর্থতা নিরসন",
    "பக்கவழி நெறிப்படுத்தல்", "trang định hướng", "định hướng", "định hướng tên người", "định hướng địa danh",
))
# Of the magic word __DISAMBIG__. Source: the Disambiguator extension and its translations.
DISAMBIGUATION_MAGIC_WORDS = (
    "disambig|begriffsklärung|begriffsklaerung|homonymie|desambiguación|desambiguacion|desambig|disambigua|"
    "doorverwijspagina|förgrening|ujednoznacznienie|rozcestník|anlamayrımı|неоднозначность|неоднозначність|"
    "багатозначність|曖昧さ回避|消歧义|消歧義|동음이의|توضيح|ابهام‌زدایی|פירושונים|định_hướng|trang_định_hướng"
)
# What the names of infoboxes hold.
INFOBOX_WORDS = (
    "infobox", "infoboks", "infokast", "infokutu", "infotaula", "infokutija", "taxobox", "speciesbox", "chembox",
    "drugbox", "automatic taxobox", "geobox", "ficha de", "info/", "taxocaixa", "tietolaatikko", "sinóptico",
    "bilgi kutusu", "kotak info", "картка", "карточка", "таксономія", "таксон", "табличка", "кутийка", "инфокутија",
    "hộp thông tin", "thông tin", "bảng phân loại", "基礎情報", "生物分類表", "信息框", "資訊框", "資訊盒", "信息盒",
    "정보 상자", "정보상자", "생물 분류", "معلومات", "تصنيف كائن", "جعبه", "תבנית מידע", "กล่องข้อมูล", "ज्ञानसन्दूक",
    "ज्ञानसंदूक", "माहितीचौकट", "তথ্যছক", "தகவற்சட்டம்", "lielinfokaste",
)
# fmt: on
