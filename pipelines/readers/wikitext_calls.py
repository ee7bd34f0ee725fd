"""A template call, ``{{name|argument|key=value}}``, to what it shows: arguments, and the handler that a name has."""

from collections.abc import Mapping, Sequence

from pipelines.readers import wikitext_values as show
from pipelines.readers.templates import (
    BY_LANGUAGE,
    PAGE_TEMPLATES,
    PARSER_FUNCTIONS,
    PREFIXES,
    SHARED,
    Page,
    PageHandler,
)
from pipelines.readers.wikitext_marks import MARK
from pipelines.readers.wikitext_values import Handler

# Names are remembered as they were written, and ``{{formatnum:1234}}`` counts as a name: the bound keeps memory constant.
_MAX_REMEMBERED_NAMES = 50_000
# {{x|999999999=a}} must not make a list of a billion.
_MAX_NUMBERED_ARGUMENT = 20
_BLOCK_STARTS = frozenset("*#:;")


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
    """Renders one template call at a time, by the tables of one language.

    Args:
        language: code of the wiki ("zh", "uk"); decides which group of ``BY_LANGUAGE`` goes before ``SHARED``.
        template_namespaces: names that may stand before a template's name ("Template", "Шаблон").
    """

    def __init__(self, language: str, template_namespaces: Sequence[str] = ()) -> None:
        self._table = SHARED | BY_LANGUAGE.get(language.partition("-")[0].lower(), {})
        self._namespaces = tuple(f"{name.lower()}:" for name in ("template", *template_namespaces))
        self._known: dict[str, PageHandler | None] = {}

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
            return MARK
        args, named = parse_arguments(rest) if rest else ([], {})
        return handler(args, named, page)

    def _find(self, raw_name: str) -> PageHandler | None:
        """The handler of a name as it was written; None: the template is dropped."""
        name = " ".join(raw_name.replace("_", " ").split()).lower()
        for namespace in self._namespaces:
            name = name.removeprefix(namespace).lstrip()
        if name in self._table:
            return _for_page(self._table[name])
        if name in PAGE_TEMPLATES:
            return PAGE_TEMPLATES[name]
        for prefix, handler in PREFIXES:
            if name.startswith(prefix):
                return _for_page(handler)
        function, colon, text = raw_name.partition(":")
        if colon and (apply := PARSER_FUNCTIONS.get(function.strip().lower())):
            return _for_page(show.constant(apply(text.strip())))
        return None


def _for_page(handler: Handler) -> PageHandler:
    """``handler`` as a page handler that leaves a marker where nothing is shown."""
    if handler is show.nothing:
        return lambda args, named, page: ""

    def render(args: Sequence[str], named: Mapping[str, str], page: Page) -> str:
        shown = handler(args, named)
        # MediaWiki starts a new line where a template begins with list or table markup.
        return f"\n{shown}" if shown[:1] in _BLOCK_STARTS and shown else shown or MARK

    return render
