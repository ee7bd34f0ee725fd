"""Keys, tokens and passwords that a service or a program writes in a form of its own.

Only forms that name themselves by a prefix are taken: a hexadecimal string may be a password, a checksum or a commit.
Sources: the services' own documentation of their token formats, as collected in the rules of gitleaks.
"""

import re
from collections.abc import Iterator

from pipelines.cleaning.personal.blocks import BETWEEN, WORD, Block, Found, long_tokens, places_of

#: Each begins one run of ``A-Za-z0-9_-`` with 20 characters or more, which is where they are looked for.
TOKENS = re.compile(
    "(?:"
    + "|".join(
        (
            r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS access key id
            r"gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{82}",  # GitHub
            r"glpat-[0-9A-Za-z_-]{20,}",  # GitLab
            r"xox[abeoprs]-[0-9A-Za-z-]{16,}",  # Slack
            r"AIza[0-9A-Za-z_-]{35}",  # Google API
            r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}",  # Stripe
            r"sk-(?:proj-|svcacct-|ant-[a-z0-9]+-)?(?=[A-Za-z_-]*[0-9])[0-9A-Za-z_-]{32,}",  # OpenAI, Anthropic
            r"hf_[A-Za-z]{34}|npm_[0-9A-Za-z]{36}|pypi-AgE[0-9A-Za-z_-]{40,}",  # Hugging Face, npm, PyPI
            r"eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",  # JSON web token (RFC 7519)
        )
    )
    + rf")(?![{WORD}_-])"
)
MAX_TOKEN_CHARS = 4096
#: "user:password" of a URL, up to the "@" (RFC 3986 3.2.1).
USER_AND_PASSWORD = re.compile(r"://([\w.~%!$&*+=-]{1,64}:[\w.~%!$&*+=:;,?#-]{1,128})$", re.ASCII)
MAX_URL_CHARS = 200

KEY_BEGIN = "-----BEGIN "
PRIVATE = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END (?:[A-Z0-9]{1,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
MAX_KEY_CHARS = 20_000


def find_credentials(block: Block) -> Iterator[Found]:
    """Tokens, then users with passwords, then private keys; each ascending."""
    for place in long_tokens(block.codes):
        match = TOKENS.match(block.folded, place, place + MAX_TOKEN_CHARS)
        if match and block.folded[place - 1 : place] != "\xff":
            yield Found(place, match.end(), "secret")
    for place in places_of(block.codes, "@"):
        begin = block.folded.rfind("://", max(0, place - MAX_URL_CHARS), place)
        match = USER_AND_PASSWORD.match(block.folded, begin, place) if begin >= 0 else None
        if match:
            yield Found(match.start(1), place, "secret")
    yield from _private_keys(block)


def _private_keys(block: Block) -> Iterator[Found]:
    """From the line that begins a private key to the one that ends it, in the same text."""
    done = 0
    while (begin := block.folded.find(KEY_BEGIN, done)) >= 0:
        done = begin + len(KEY_BEGIN)
        if not PRIVATE.match(block.folded, begin):
            continue
        limit = block.folded.find(BETWEEN, begin, begin + MAX_KEY_CHARS)
        end = KEY_END.search(block.folded, begin, limit if limit >= 0 else begin + MAX_KEY_CHARS)
        if end:
            done = end.end()
            yield Found(begin, done, "secret")
