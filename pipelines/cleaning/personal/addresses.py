"""E-mail and IP addresses.

An e-mail address has a host with a top-level domain of letters; ``@handle`` has none, and ``logo@2x.png`` is a file. The
message ids of Usenet and mail stay: they name a message, and many of them are written like an address, so only what
the line calls a message id, or what stands in angle brackets and counts like one, is taken for it.

An IP address is one of a machine on the public internet: private, reserved and documentation ranges identify nobody.
Dotted numbers after the word "version", after a product's name and a slash, or with four small parts, are versions and
sections.
"""

import ipaddress
import re
from collections.abc import Iterator

from pipelines.cleaning.personal.blocks import LETTER, WORD, Block, Found, places_of

LOCAL_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
MAX_LOCAL_CHARS = 64  # RFC 5321 4.5.3.1
#: The host after "@": labels of up to 63 characters (RFC 1035), eight at most, the last of them of letters.
HOST = re.compile(rf"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,62}})\.){{1,8}}([A-Za-z]{{2,24}})(?![{WORD}_@]|-[{WORD}])")
FILE_ENDINGS = frozenset(
    (
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "css",
        "js",
        "ts",
        "json",
        "html",
        "htm",
        "php",
        "py",
        "txt",
        "pdf",
        "zip",
        "gz",
    )
)
#: Users that stand for a service in a repository's or a server's address.
SERVICE_USERS = frozenset({"git", "hg", "svn"})

#: What a line calls a message id, right before it or before others of a list.
MESSAGE_WORDS = re.compile(
    r"(?:message-id:|references:|in-reply-to:|article:?|message:?|news:|\bin)(?:\s*<[^<>\s]*>,?)*\s*$"
)
ATOM_CHARS = LOCAL_CHARS + "!#$&'*/=?^`{|}~"  # RFC 5322 3.2.3
MESSAGE_DIGITS = 8
CONTEXT_CHARS = 240

#: Behind an address: "/16" makes it a network, and what stands after that must be seen.
CIDR_CHARS = 5
DOTTED_QUAD = re.compile(
    rf"(?<![{WORD}_.\-])(?<![{WORD}]/)[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}(?![{WORD}_]|[.\-][{WORD}]|/[0-9]{{1,2}}(?![{WORD}_/\-]|\.[{WORD}]))"
)
COLON_GROUPS = re.compile(rf"(?<![{WORD}:.])[23][0-9A-Fa-f]{{3}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}}(?![{WORD}:])")
VERSION_WORDS = re.compile(
    r"(?:version|release|ver|rev|build|firmware|kernel|driver|section|chapter|clause|rule|v|§|版本|版|第|верс\w*|"
    r"phiên bản|バージョン)[\s.:#]*$",
    re.I,
)
ADDRESS_WORDS = re.compile(r"(?:\bip(?:v4)?\b|\bhost\b|\baddress\b|\bserver\b|地址|адрес\w*)[^\n]{0,12}$", re.I)
MIN_LARGE_PART = 64
#: IPv4 addresses that nobody has alone: RFC 6890 and multicast. (``ipaddress.is_global`` changes with Python's patches.)
SHARED_NETWORKS = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
)  # fmt: skip
#: IPv6 is searched within 2000::/3, all that is assigned to hosts; of it these are not: Teredo's prefix, documentation.
SHARED_NETWORKS_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
MIN_GROUPS = 3


def find_emails(block: Block) -> Iterator[Found]:
    """E-mail addresses, ascending; message ids are left out."""
    for place in places_of(block.codes, "@"):
        host = HOST.match(block.folded, place)
        if host is None or host[1].lower() in FILE_ENDINGS:
            continue
        window = block.folded[max(0, place - MAX_LOCAL_CHARS) : place]
        local = window[len(window.rstrip(LOCAL_CHARS)) :].lstrip(".-+%")
        begin = place - len(local)
        alone = block.folded[begin - 1 : begin] not in {"@", LETTER} and len(local) < MAX_LOCAL_CHARS
        if not local or not alone or local.endswith(".") or local in SERVICE_USERS:
            continue
        if not _is_message_id(block, begin, host.end()):
            yield Found(begin, host.end(), "email")


def _is_message_id(block: Block, begin: int, end: int) -> bool:
    """Whether angle brackets and the line say so, or eight digits among other characters."""
    if block.folded[end : end + 1] != ">":
        return False
    window = block.folded[max(0, begin - MAX_LOCAL_CHARS) : block.folded.index("@", begin)]
    local = window[len(window.rstrip(ATOM_CHARS)) :]
    opening = block.folded.index("@", begin) - len(local)
    if block.folded[opening - 1 : opening] != "<":
        return False
    num_digits = sum(map(str.isdigit, local))
    if MESSAGE_DIGITS <= num_digits < len(local):
        return True
    return bool(MESSAGE_WORDS.search(block.before(opening - 1, CONTEXT_CHARS).lower()))


def find_ip_addresses(block: Block, spans: list[tuple[int, int]]) -> Iterator[Found]:
    """IPv4 addresses in the spans of digits, then IPv6 addresses; each ascending."""
    for begin, end in spans:
        for match in DOTTED_QUAD.finditer(block.folded, begin, end + CIDR_CHARS):
            if _is_public(match[0]) and _is_address(block, match):
                yield Found(match.start(), match.end(), "ip_address")
    last = 0
    for place in places_of(block.codes, ":"):
        if place < last:
            continue
        match6 = COLON_GROUPS.match(block.folded, place - 4) if place >= 4 else None
        if match6 and _is_public_6(match6[0]):
            last = match6.end()
            yield Found(match6.start(), last, "ip_address")


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not any(address in network for network in SHARED_NETWORKS)


def _is_address(block: Block, match: re.Match[str]) -> bool:
    before = block.before(match.start(), 24)
    if VERSION_WORDS.search(before):
        return False
    return max(map(int, match[0].split("."))) >= MIN_LARGE_PART or bool(ADDRESS_WORDS.search(before))


def _is_public_6(text: str) -> bool:
    if sum(map(bool, text.split(":"))) < MIN_GROUPS:
        return False
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not any(address in network for network in SHARED_NETWORKS_6)
