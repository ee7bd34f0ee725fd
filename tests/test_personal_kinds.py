"""Each kind of personal data is found as people write it, and what only looks like it survives."""

import pytest
from personal import mask


def cases(*rows: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("text", "masked"), rows, ids=[str(number) for number in range(len(rows))])


@cases(
    ("Write to jane.doe+news@mail.example.org.", "Write to <EMAIL>."),
    ("mailto:x_1%y@a-b.co.uk, <z@example.com>", "mailto:<EMAIL>, <<EMAIL>>"),
    ("联系邮箱abc_1@163.com联系人", "联系邮箱<EMAIL>联系人"),
    ("邮箱：ＡＢＣ＠ＳＯＨＵ．ＣＯＭ。", "邮箱：<EMAIL>。"),
    ("In article <x@y.z> ann@cs.example.edu (Ann) writes", "In article <x@y.z> <EMAIL> (Ann) writes"),
    ("From: <bob@example.com>", "From: <<EMAIL>>"),
    ("138 1234@qq.com <123456789@qq.com>", "138 <EMAIL> <<EMAIL>>"),
)  # fmt: skip
def test_emails(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "@handle and @user@social.example, said @jack.",
        "logo@2x.png, icons@3x.webp",
        "git clone git@github.com:owner/repo.git",
        "a @ b.com; a@b; a@ b.com; pkg@1.2.3; 5@6.7",
        "In article <1993Apr5.023044.19580@news.example.edu> he wrote",
        "In article <1qk$43c@news.example.edu>, references: <a.b@x.org>, <c.d@x.org>",
    ],
)
def test_handles_files_and_message_ids_are_no_emails(text):
    masked = mask(text)
    assert masked == text


@cases(
    ("Ring +44 20 7946 0958 2019 or +1 (617) 253-1000.", "Ring <PHONE> 2019 or <PHONE>."),
    ("0086-10-6552-9988, +86 138 0013 8000", "<PHONE>, <PHONE>"),
    ("+49 (0)30 901820, (+31) 20 794 0800", "<PHONE>, <PHONE>"),
    ("Tel: (020) 7946 0958", "Tel: <PHONE>"),
    ("Phone: 555-0123, fax 617 253 1000", "Phone: <PHONE>, fax <PHONE>"),
    ("(617) 253-1000 or 617-253-1001, 1-800-253-1000", "<PHONE> or <PHONE>, <PHONE>"),
)  # fmt: skip
def test_phones(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("language", "text", "masked"),
    [
        ("zh", "电话：010-65529988、65529989，手机13800138000。", "电话：<PHONE>、<PHONE>，手机<PHONE>。"),
        ("zh", "联系电话（０７１７）５４０１２２０、５４０１２１０", "联系电话<PHONE>、<PHONE>"),
        ("zh-Hant", "電話：+886 2 2311 3731", "電話：<PHONE>"),
        ("uk", "тел. (044) 279-35-04", "тел. <PHONE>"),
        ("ru", "Телефон: 8 (495) 606-36-02", "Телефон: <PHONE>"),
        ("vi", "Điện thoại: 024 3825 3536", "Điện thoại: <PHONE>"),
        ("ko", "전화: 02-730-5800", "전화: <PHONE>"),
        ("ja", "電話03-3581-0101まで", "電話<PHONE>まで"),
        ("fr", "Tél. : 01 42 92 81 00", "Tél. : <PHONE>"),
        ("mr", "फोनः +९१ ११ २३०१ ५६०३", "फोनः <PHONE>"),
    ],
)
def test_national_phones_go_by_a_word_and_the_language(language, text, masked):
    assert mask(text, language) == masked


@pytest.mark.parametrize(
    "text",
    [
        "The hotel 12345678 stands in 1914-1918, 1939-1945.",
        "2011-12-13, 13/12/2011, 13.12.2011 14:15:16, 20111213141516",
        "Tel: 2011-12-13; call 1999-2004",
        "7,946,095,812 people; +5 -3 +2; scores 3-0, 21-19 and 6-4 6-3 7-5",
        "12 345 678 900 km, 299 792 458 m/s, 0.5772156649015328606",
        "51.5074, -0.1278; 40°26′46″N 79°58′56″W; 40.446195, -79.982195",
        "units 1101 1102 1103 1104 1105 and rooms 2010-2020-2030",
        "part no. 617-253-10001, order 2011-617-253-1000, 123-456-7890",
        "RFC 2822, ISO 8859-1, UTF-8, 90210-1234, $1,299.00-1,399.00",
        "GSM 850/900/1800/1900",
    ],
)
def test_dates_scores_coordinates_and_series_are_no_phones(text):
    assert mask(text) == text


@cases(
    ("From 130.225.8.17:8080 [8.65.4.4], http://18.72.0.3/", "From <IP_ADDRESS>:8080 [<IP_ADDRESS>], http://<IP_ADDRESS>/"),
    ("IP地址：１８．７２．０．３。", "IP地址：<IP_ADDRESS>。"),
    ("IP address 9.9.9.9", "IP address <IP_ADDRESS>"),
    ("http://18.72.0.3/12/a", "http://<IP_ADDRESS>/12/a"),
    ("2a00:1450:4001:81b::200e, 2001:4860:4860:0:0:0:0:8888.", "<IP_ADDRESS>, <IP_ADDRESS>."),
)  # fmt: skip
def test_ip_addresses(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "version 1.72.30.4, v2.100.0.1, Chrome/90.0.100.93, 版本1.100.2.3",
        "1.2.3.4 Results; see Section 3.100.1.2 and 10.1.22.3",
        "the network 18.72.0.0/16, 193.99.144.0/24.",
        "127.0.0.1, 10.1.200.3, 192.168.0.1, 172.16.254.1, 255.255.255.0, 224.0.0.251, 203.0.113.9",
        "1.3.6.1.4.1.311, 300.100.100.100, 18.72.0, 18.72.0.3.example.org, 18.72.0.3-beta",
        "12:30:45, std::string, 20:01::59, 2001::, fe80::1:2:3, ::1, 2001:db8::1:2, 00:1a:2b:3c:4d:5e",
    ],
)
def test_versions_sections_and_shared_ranges_are_no_ip_addresses(text):
    assert mask(text) == text


@cases(
    ("4111 1111 1111 1111, 5500-0000-0000-0004.", "<CARD_NUMBER>, <CARD_NUMBER>."),
    ("卡号6222020200112233446，", "卡号<CARD_NUMBER>，"),
    ("Amex 3782 822463 10005; 30569309025904", "Amex <CARD_NUMBER>; <CARD_NUMBER>"),
    ("IBAN GB82 WEST 1234 5698 7654 32 AND", "IBAN <IBAN> AND"),
    ("DE89370400440532013000。NL91-ABNA-0417-1643-00", "<IBAN>。<IBAN>"),
)  # fmt: skip
def test_cards_and_bank_accounts(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 and 5500000000000005",  # the check digit is wrong
        "1234567890123452, 9999 9999 9999 9995",  # nobody issues these
        "id=4111111111111111, /4111111111111111, 0.4111111111111111, 4111 1111 1111 1111 1111",
        "GB82 WEST 1234 5698 7654 33, MP3 2019 2020 2021, US2000 1234 5678 9012",
        "4006381333931",  # EAN-13
    ],
)
def test_numbers_without_check_digits_or_issuers_are_no_accounts(text):
    assert mask(text) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "11010519491231002X"),
        ("zh", "公民身份号码１１０１０５１９４９１２３１００２Ｘ"),
        ("zh", "身份证号：11010519491231002x"),
        ("zh", "身份证号：110105194912310021"),  # a wrong check digit, but called so
        ("zh", "身份证号：110105491231002"),
        ("zh", "身分證字號A123456789"),
        ("en", "RSSMRA85T10A562S"),
        ("en", "BOXW310820HNERXN09"),
        ("en", "529.982.247-25"),
        ("pt", "52998224725"),
        ("en", "CPF 52998224725"),
        ("fr", "2 95 10 99 126 111 93"),
        ("en", "SSN: 536-90-4399"),
        ("es", "DNI 54362315K"),
        ("es", "NIE X2482300W"),
        ("pl", "44051401359"),
        ("tr", "17291716060"),
        ("sv", "880320-0016"),
        ("fi", "131052-308T"),
        ("ko", "주민등록번호 971013-9019902"),
        ("hi", "आधार 2341 2341 2346"),
        ("de", "Steuer-ID 36574261809"),
        ("nn", "15108695088"),
        ("uk", "РНОКПП 1759013776"),
        ("ru", "ИНН 500100732259"),
        ("cs", "710319/2745"),
        ("ro", "1630615123457"),
        ("ja", "マイナンバー 6214 9832 0257"),
        ("th", "1-2345-45678-78-1"),
        ("nl", "BSN 111222333"),
        ("es", "RUT 12.531.909-2"),
    ],
)
def test_national_ids(language, text):
    masked = mask(f"{text}, he said.", language)
    assert masked.endswith("<NATIONAL_ID>, he said.")
    assert not any(character.isdigit() for character in masked)


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310021",  # the check digit is wrong
        "110105194902310022",  # no such date
        "44051401359, 17291716060, 52998224725, 880320-0016, 54362315K, 536-90-4399",  # in English nothing names them
        "ISBN 1630615123457, ISBN-13: 978-0-306-40615-7, ISBN 0-306-40615-2, ISSN 0378-5955",
        "doi:10.1016/j.physrep.2019.01.001, 10.1000/11010519491231002X, arXiv:2112.11446",
        "ABCDEF12A34B567C",
        "（2017）津0105行初131号，编号：1205021000228533",
    ],
)
def test_numbers_that_nothing_names_and_books_are_no_national_ids(text):
    assert mask(text) == text


AWS = "AKIA" + "IOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"


@cases(
    (f"key={AWS};", "key=<SECRET>;"),
    ("令牌ghp_" + "a1" * 18 + "。", "令牌<SECRET>。"),
    ("github_pat_" + "Ab3_" * 20 + "xy", "<SECRET>"),
    ("xoxb-" + "123456789012-abcDEF", "<SECRET>"),
    ("AIza" + "SyA-1234_" * 3 + "abcdefgh", "<SECRET>"),
    ("sk_live_" + "a1b2" * 6 + " sk-proj-" + "a1B2" * 10, "<SECRET> <SECRET>"),
    (f"Bearer {JWT}", "Bearer <SECRET>"),
    ("ftp://user:p4ss@host.example.com/x", "ftp://<SECRET>@host.example.com/x"),
    (f"a\n{KEY}\nb", "a\n<SECRET>\nb"),
)  # fmt: skip
def test_keys_tokens_and_passwords(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "AKIA is a prefix; " + "0123456789abcdef" * 4,
        "d41d8cd98f00b204e9800998ecf8427e and 550e8400-e29b-41d4-a716-446655440000",
        "sk-" + "learn-and-other-names-in-python-packages-of-a-long-kind",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n-----BEGIN RSA PRIVATE KEY-----",
        "http://host.example.com:8080/a, http://a.cn客服：b邮件",
        "a_very_long_snake_case_name_of_something",
    ],
)
def test_hashes_and_names_are_no_secrets(text):
    assert mask(text) == text
