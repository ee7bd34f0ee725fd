"""Lines of a page's main text that its author did not write: which ones, and by which rule.

    drop_boilerplate(lines, titles)  ->  (the lines that stay, rule -> number of lines that went)

A rule must match the *whole* line, bullets, brackets, arrows and end marks taken off, so a sentence that mentions
cookies or sharing is never touched. ``ANYWHERE`` names nothing but page furniture. What could be a heading or a
remark inside an article (``AT_THE_EDGES``) goes only while nothing but such lines stands between it and the beginning
or the end of the text. What the lines say in each language stands in ``boilerplate_words``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipelines.readers.web import boilerplate_words as words

#: A longer line is prose.
MAX_LINE_CHARS = 300
#: Among so many lines at the beginning the title is looked for: a kicker and a date may stand before it.
HEAD_LINES = 4
#: So many lines at the end may be a list of links to other pages.
TAIL_LINES = 15
_FRAME = " \t\u00a0\u3000-–—*•·|/»«›‹<>→▶►▼…:：.。!！?？¿¡,，;[]()（）{}【】「」『』〈〉《》\"“”‘’'#"
_SENTENCE_END = re.compile(r"[.!?。！？؟।…][\"”»'’）)\]]*$")


def _rule(*wordings: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(wording for table in wordings for wording in table.values()), re.IGNORECASE)


#: Rule -> what the whole line must be, wherever it stands.
ANYWHERE: Mapping[str, re.Pattern[str]] = {
    "cookies": _rule(words.COOKIES),
    "share": _rule(words.SHARE),
    "read_more": _rule(words.READ_MORE, words.LINK_HEADINGS, words.READ_MORE_COLON),
    "advertisement": _rule(words.ADVERTISEMENT),
    "tools": _rule(words.TOOLS),
}
#: Rule -> what the whole line must be, at the beginning and the end of the text.
AT_THE_EDGES: Mapping[str, re.Pattern[str]] = {
    "comments": _rule(words.COMMENTS),
    "newsletter": _rule(words.NEWSLETTER),
    "follow": _rule(words.FOLLOW),
    "rights": _rule(words.RIGHTS),
    "markers": _rule(words.MARKERS),
}
_LINK_HEADING = {"related_links": _rule(words.LINK_HEADINGS)}


def drop_boilerplate(lines: Iterable[str], titles: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """The lines that the author wrote, and how many went by which rule.

    Rules: those of ``ANYWHERE`` and ``AT_THE_EDGES``; ``title``, a line near the beginning that is one of ``titles``;
    ``related_links``, the links at the end under a line like "Related articles". Blank lines go uncounted.
    """
    dropped: Counter[str] = Counter()
    kept: list[str] = []
    for line in _without_related_links([line for line in lines if line.strip()], dropped):
        if rule := matching_rule(line, ANYWHERE):
            dropped[rule] += 1
        else:
            kept.append(line)
    while kept and (rule := matching_rule(kept[-1], AT_THE_EDGES)):
        dropped[rule] += 1
        kept.pop()
    head = [line for line in kept[:HEAD_LINES] if not is_title(line, titles)]
    dropped["title"] += len(kept[:HEAD_LINES]) - len(head)
    kept[:HEAD_LINES] = head
    first = 0
    while first < len(kept) and (rule := matching_rule(kept[first], AT_THE_EDGES)):
        dropped[rule] += 1
        first += 1
    return kept[first:], +dropped


def matching_rule(line: str, rules: Mapping[str, re.Pattern[str]]) -> str:
    """The first rule that the whole line matches, "" where none does."""
    if len(line) > MAX_LINE_CHARS:
        return ""
    bare = line.replace("’", "'").strip(_FRAME)
    return next((name for name, pattern in rules.items() if pattern.fullmatch(bare)), "")


def is_title(line: str, titles: Sequence[str]) -> bool:
    """Whether the line is one of the titles, or one without the site's name behind it."""
    bare = _words(line)
    return bool(bare) and any(
        bare == _words(title) or (len(bare) > 7 and bare == _words(part))
        for title in titles
        for part in (title, *(title[: m.start()] for m in re.finditer(r"\s[|\-–—·•»:]\s|[|｜_]", title)))
    )


def is_sentence(line: str) -> bool:
    """Whether the line ends as a sentence does, in any script's marks."""
    return bool(_SENTENCE_END.search(line.rstrip()))


def _without_related_links(lines: list[str], dropped: Counter[str]) -> list[str]:
    """The lines before a final "Related articles" and its links: list items or short lines that are no sentences."""
    for place in range(len(lines) - 1, max(0, len(lines) - TAIL_LINES - 1), -1):
        if place < len(lines) - 1 and matching_rule(lines[place], _LINK_HEADING):
            dropped["related_links"] += len(lines) - place
            return lines[:place]
        if len(lines[place]) > MAX_LINE_CHARS or (is_sentence(lines[place]) and not _is_item(lines[place])):
            break
    return lines


def _is_item(line: str) -> bool:
    return line.lstrip().startswith(("- ", "• ", "* ", "· "))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
