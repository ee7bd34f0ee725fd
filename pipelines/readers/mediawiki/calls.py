"""A template call, ``{{name|argument|key=value}}``, to what it shows: arguments, the handler that a name has, the tally."""

import re
from collections.abc import Callable, Mapping, Sequence

from pipelines.readers.mediawiki import values as show
from pipelines.readers.mediawiki.dates import Page, PageHandler
from pipelines.readers.mediawiki.marks import MARK
from pipelines.readers.mediawiki.templates import PAGE_TEMPLATES, PARSER_FUNCTIONS, PREFIXES, SHARED, SUFFIXES
from pipelines.readers.mediawiki.templates_by_language import BY_LANGUAGE
from pipelines.readers.mediawiki.values import Handler
from pipelines.readers.mediawiki.words import DISAMBIGUATION_TEMPLATES, INFOBOX_WORDS

# Names are remembered as they were written, and ``{{formatnum:1234}}`` counts as a name: the bound keeps memory constant.
_MAX_REMEMBERED_NAMES = 50_000
# {{x|999999999=a}} must not make a list of a billion.
_MAX_NUMBERED_ARGUMENT = 20
_BLOCK_STARTS = frozenset("*#:;")
#: Of a page's dropped templates so many different names are told apart, each cut to so many characters.
MAX_DROPPED_NAMES = 200
MAX_NAME_CHARS = 80
OTHER_NAMES = "..."
# An unknown call of so many ``| key = value`` lines is an infobox, whatever its name.
_MIN_INFOBOX_LINES = 5
_ALL_PREFIXES = tuple(prefix for prefix, _ in PREFIXES)
_ALL_SUFFIXES = tuple(suffix for suffix, _ in SUFFIXES)
_infobox_name = re.compile("|".join(map(re.escape, INFOBOX_WORDS)))


def split_arguments(body: str) -> list[str]:
    """``a|[[b|c]]|d`` -> ``["a", "[[b|c]]", "d"]``: pipes inside links do not separate."""
    pieces = body.split("|")
    if "[[" not in body:
        return pieces
    arguments: list[str] = []
    pending: list[str] = []
    depth = 0
    for piece in pieces:
        pending.append(piece)
        depth += piece.count("[[") - piece.count("]]")
        if depth <= 0:
            arguments.append("|".join(pending))
            pending, depth = [], 0
    if pending:
        arguments.append("|".join(pending))
    return arguments


def parse_arguments(body: str) -> tuple[list[str], dict[str, str]]:
    """Positional and named arguments, stripped; ``2=x`` is the second positional one, however many come before it.

    A key of more than 40 characters, or with markup in it, is text that happens to hold ``=``.
    """
    args: list[str] = []
    named: dict[str, str] = {}
    num_unnamed = 0
    for argument in split_arguments(body):
        key, equals, text = argument.partition("=")
        key = key.strip()
        if not equals or not key or len(key) > 40 or any(mark in key for mark in "<[{\n"):
            num_unnamed += 1
            position, text = num_unnamed, argument
        elif key.isdecimal():
            position = int(key)
        else:
            named[key.lower()] = text.strip()
            continue
        if position == len(args) + 1:
            args.append(text.strip())
        elif 0 < position <= max(len(args), _MAX_NUMBERED_ARGUMENT):
            args.extend([""] * (position - len(args)))
            args[position - 1] = text.strip()
    return args, named


class TemplateRenderer:
    """Renders one template call at a time, by the tables of one language, and tallies what no rule knows.

    Args:
        language: code of the wiki ("zh", "uk"); decides which group of ``BY_LANGUAGE`` goes before ``SHARED``.
        template_namespaces: names that may stand before a template's name ("Template", "Шаблон").
        rules: name -> handler, before all tables.
        keeps_pronunciations: whether IPA and its like are shown.
        show_infobox: arguments of an infobox -> its text; None: infoboxes are dropped.
    """

    def __init__(
        self,
        language: str,
        template_namespaces: Sequence[str] = (),
        rules: Mapping[str, Handler] | None = None,
        keeps_pronunciations: bool = True,
        show_infobox: Callable[[str], str] | None = None,
    ) -> None:
        own = {_canonical(name): handler for name, handler in (rules or {}).items()}
        self._table = SHARED | BY_LANGUAGE.get(language.partition("-")[0].lower(), {}) | own
        self._namespaces = tuple(f"{name.lower()}:" for name in ("template", *template_namespaces))
        self._keeps_pronunciations = keeps_pronunciations
        self._show_infobox = show_infobox
        self._known: dict[str, PageHandler | None] = {}
        self._dropped: dict[str, int] = {}
        self._is_disambiguation = False

    def render(self, body: str, page: Page) -> str:
        """What ``{{body}}`` shows; ``MARK`` where that is nothing. Inner templates are already rendered."""
        name, _, rest = body.partition("|")
        try:
            handler = self._known[name]
        except KeyError:
            handler = self._find(name)
            if len(self._known) < _MAX_REMEMBERED_NAMES:
                self._known[name] = handler
        if handler is None:
            return self._drop(name, rest)
        if handler is _marker:
            return MARK
        if handler is _infobox:
            return self._show_infobox(rest) if self._show_infobox else MARK
        if handler is _disambiguation:
            self._is_disambiguation = True
            return MARK
        args, named = parse_arguments(rest) if rest else ([], {})
        return handler(args, named, page)

    def take_tally(self) -> tuple[dict[str, int], bool]:
        """What was rendered since the last call: dropped templates by name, and whether one said "disambiguation"."""
        counts: dict[str, int] = {}
        for raw_name, number in self._dropped.items():
            name = self._name(raw_name)
            function, colon, _ = name.partition(":")
            # What stands behind a function's colon is text, but for {{#invoke:Module}}.
            name = (f"{function}:" if colon and function != "#invoke" else name)[:MAX_NAME_CHARS].rstrip()
            if name not in counts and len(counts) >= MAX_DROPPED_NAMES:
                name = OTHER_NAMES
            counts[name] = counts.get(name, 0) + number
        taken = counts, self._is_disambiguation
        self._dropped, self._is_disambiguation = {}, False
        return taken

    def _drop(self, name: str, rest: str) -> str:
        """Drops a template that no rule knows; unless infoboxes are shown and it looks like one."""
        if self._show_infobox and 1 + rest.count("\n|") + rest.count("\n |") >= _MIN_INFOBOX_LINES:
            return self._show_infobox(rest)
        # The bound keeps memory constant on a page of calls that all differ.
        key = name if name in self._dropped or len(self._dropped) < _MAX_REMEMBERED_NAMES else OTHER_NAMES
        self._dropped[key] = self._dropped.get(key, 0) + 1
        return MARK

    def _name(self, raw_name: str) -> str:
        """A template's name as the tables write it, without the namespace that may stand before it."""
        name = _canonical(raw_name)
        if ":" in name:
            for namespace in self._namespaces:
                name = name.removeprefix(namespace).lstrip()
        return name

    def _find(self, raw_name: str) -> PageHandler | None:
        """The handler of a name as it was written; None: no rule knows it."""
        name = self._name(raw_name)
        if name in self._table:
            return self._for_page(self._table[name])
        if name in PAGE_TEMPLATES:
            return PAGE_TEMPLATES[name]
        if name in DISAMBIGUATION_TEMPLATES or name.endswith(" disambiguation"):
            return _disambiguation
        if name.startswith(_ALL_PREFIXES):
            return self._for_page(next(handler for prefix, handler in PREFIXES if name.startswith(prefix)))
        if name.endswith(_ALL_SUFFIXES):
            return self._for_page(next(handler for suffix, handler in SUFFIXES if name.endswith(suffix)))
        function, colon, text = raw_name.partition(":")
        if colon and (apply := PARSER_FUNCTIONS.get(function.strip().lower())):
            return lambda args, named, page: apply(text.strip(), args, page) or MARK
        return _infobox if _infobox_name.search(name) else None

    def _for_page(self, handler: Handler) -> PageHandler:
        """``handler`` as a page handler that leaves a marker where nothing is shown."""
        if handler is show.nothing:
            return lambda args, named, page: ""
        if handler is show.dropped or (handler in show.PRONUNCIATIONS and not self._keeps_pronunciations):
            return _marker

        def render(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
            shown = handler(args, named)
            if shown[:1] in _BLOCK_STARTS and shown:
                # A list begins on a new line; before a sign alone (a linguist's *form) the marker keeps it from being one.
                return f"\n{shown}" if "\n" in shown else f"{MARK}{shown}"
            return shown or MARK

        return render


def _canonical(name: str) -> str:
    """A template's name as the tables write it: ``Cite_web`` and `` cite  web`` are ``cite web``."""
    return " ".join(name.replace("_", " ").split()).lower()


def _marker(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """Stands for templates that are dropped whatever their arguments are."""
    return MARK


def _infobox(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """Stands for infoboxes, whose arguments are read in their order by another function."""
    return MARK


def _disambiguation(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
    """Stands for the templates that make a page a disambiguation page."""
    return MARK
