"""Texts -> the same texts without personal data: masked by placeholders, removed, or counted so that a rule drops them.

    texts, languages  ->  mask_batch  ->  Masked(texts, {"email": [0, 2], "phone": [1, 0], ...})

Masking masked text changes nothing: a text that changed is looked at again until it does not, since what was next to a
number may count once the number is gone. Each text is looked at alone: no result depends on the batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.personal.accounts import find_cards, find_ibans
from pipelines.cleaning.personal.addresses import find_emails, find_ip_addresses
from pipelines.cleaning.personal.blocks import I64, Block, Found, coded_numbers, number_spans
from pipelines.cleaning.personal.credentials import find_credentials
from pipelines.cleaning.personal.identities import find_identities
from pipelines.cleaning.personal.phones import find_phones
from pipelines.spine.errors import CorpusmillError

ACTIONS = ("keep", "mask", "remove", "drop")
#: Two or three passes settle every text met; the bound is there so that no text can loop for ever.
MAX_PASSES = 10
#: Characters that are looked at together: 1 MB of arrays, which stay in the processor's cache.
BLOCK_CHARS = 1 << 17


@dataclass(frozen=True)
class KindParams:
    """What becomes of one kind of personal data.

    Args:
        action: keep (it is not looked for), mask, remove, or drop (the text stays as it is, for a rule to drop).
        placeholder: what a mask writes; the same for every find, so that nothing of it is left.
    """

    action: str
    placeholder: str


@dataclass(frozen=True)
class PersonalDataParams:
    """``clean.personal_data``: what becomes of each kind, and where phones without a country's code may be from."""

    email: KindParams
    phone: KindParams
    ip_address: KindParams
    card_number: KindParams
    iban: KindParams
    national_id: KindParams
    secret: KindParams
    phone_regions: dict[str, tuple[str, ...]]

    def kind(self, name: str) -> KindParams:
        """The parameters of one of `KINDS`."""
        params: KindParams = getattr(self, name)
        return params


#: Names of the kinds; where two are found at one place, the first is taken.
KINDS = ("secret", "email", "iban", "national_id", "card_number", "ip_address", "phone")
PRIORITY = {kind: number for number, kind in enumerate(KINDS)}


class Masked(NamedTuple):
    """What became of a batch."""

    texts: list[str]
    found: dict[str, I64]  # kind -> how many of it each text lost, or holds if it is to be dropped; kept: 0; [n_texts]


def mask_batch(texts: Sequence[str], languages: Sequence[str], params: PersonalDataParams) -> Masked:
    """The texts without the personal data that is to go, and what was found in each.

    Args:
        texts: normalised texts.
        languages: the code of each text's language.
    Raises:
        CorpusmillError: parameters that `check_params` refuses.
    """
    check_params(params)
    result = list(texts)
    found = {kind: np.zeros(len(result), np.int64) for kind in KINDS}
    numbers = list(range(len(result)))
    if all(params.kind(kind).action == "keep" for kind in KINDS):
        return Masked(result, found)
    for _ in range(MAX_PASSES):
        changed = []
        for part in _blocks(result, numbers):
            block = Block([result[number] for number in part], [languages[number] for number in part])
            changed += _edit(block, part, result, found, params)
        numbers = changed
        if not numbers:
            break
    return Masked(result, found)


def find_personal_data(block: Block, phone_regions: dict[str, tuple[str, ...]]) -> list[Found]:
    """All personal data of a block, ascending, none over another."""
    spans, coded = number_spans(block.codes), coded_numbers(block.codes)
    candidates = [
        *find_credentials(block),
        *find_emails(block),
        *find_ibans(block, coded),
        *find_identities(block, spans, coded),
        *find_cards(block, spans),
        *find_ip_addresses(block, spans),
        *find_phones(block, spans, phone_regions),
    ]
    candidates.sort(key=lambda found: (found.start, PRIORITY[found.kind], -found.end))
    accepted: list[Found] = []
    for found in candidates:
        if not accepted or found.start >= accepted[-1].end:
            accepted.append(found)
    return accepted


def check_params(params: PersonalDataParams) -> None:
    """Raises CorpusmillError for an unknown action, for placeholders that are alike or may be taken for text, and where
    the regions of phone numbers have no default."""
    placeholders = set()
    for kind in KINDS:
        where, chosen = f"params.yaml: clean.personal_data.{kind}", params.kind(kind)
        if chosen.action not in ACTIONS:
            raise CorpusmillError("no such action", where=where, expected=", ".join(ACTIONS), got=chosen.action)
        if not _is_placeholder(chosen.placeholder) or chosen.placeholder in placeholders:
            raise CorpusmillError(
                "a placeholder must be unmistakable and stand for one kind",
                where=where,
                expected="ASCII letters and _ in <...>, [...], {...} or |...|, another for each kind",
                got=chosen.placeholder,
            )
        placeholders.add(chosen.placeholder)
    if "default" not in params.phone_regions:
        raise CorpusmillError(
            "no regions for languages that are not named",
            where="params.yaml: clean.personal_data.phone_regions",
            expected="default: []",
        )


def _is_placeholder(text: str) -> bool:
    name = text[1:-1].strip("|")
    return text[:1] + text[-1:] in ("<>", "[]", "{}", "||") and name.isascii() and name.replace("_", "").isalpha()


def _edit(
    block: Block, numbers: Sequence[int], texts: list[str], found: dict[str, I64], params: PersonalDataParams
) -> list[int]:
    """Rewrites those of ``texts`` that the block holds, counts in ``found``, and returns which texts changed."""
    edits: dict[int, list[Found]] = {}
    for one in find_personal_data(block, params.phone_regions):
        edits.setdefault(block.text_at(one.start), []).append(one)
    changed = []
    for place, finds in edits.items():
        number, start = numbers[place], block.starts[place]
        for kind in KINDS:
            action, count = params.kind(kind).action, sum(one.kind == kind for one in finds)
            if action == "drop":
                found[kind][number] = count  # it stays, so every pass finds it again
            elif action != "keep":
                found[kind][number] += count
        moved = [one._replace(start=one.start - start, end=one.end - start) for one in finds]
        text = _rewrite(texts[number], moved, params)
        if text != texts[number]:
            texts[number] = text
            changed.append(number)
    return changed


def _rewrite(text: str, finds: Sequence[Found], params: PersonalDataParams) -> str:
    pieces, done, removed = [], 0, False
    for start, end, kind in finds:
        action, placeholder = params.kind(kind).action, params.kind(kind).placeholder
        if action == "mask":
            pieces += [text[done:start], placeholder]
            done = end
        elif action == "remove":
            pieces.append(text[done:start])
            done = _end_of_gap(text, start, end)
            removed = True
    rewritten = "".join(pieces) + text[done:]
    return tidy_lines(rewritten) if removed else rewritten


def _end_of_gap(text: str, start: int, end: int) -> int:
    """Where the text goes on, so that no two spaces meet where something was removed."""
    if start and not text[start - 1].isspace():
        return end
    while text[end : end + 1].isspace() and text[end] != "\n":
        end += 1
    return end


def _blocks(texts: Sequence[str], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Runs of the numbers whose texts have about `BLOCK_CHARS` together."""
    part, chars = [], 0
    for number in numbers:
        part.append(number)
        chars += len(texts[number])
        if chars >= BLOCK_CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part
