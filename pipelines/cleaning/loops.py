"""Texts that loop: what a scraper or a model repeats again and again is cut, and its first copy stays.

    TextTable  ->  find_loops  ->  Loops: byte ranges of later copies  ->  cut_loops  ->  edited texts

A *passage* is a run of words with so many letters; it loops when it stands `min_copies` times in a text without
overlapping itself. Two kinds of loops are cut:

    in a row     A A A A          wherever they stand: whole rounds go, so that the text reads on as it did; rounds
                                  shorter than a passage are a chant, "la la la", and go where they fill a page
    scattered    A B A C A B A    only where copies are most of a text, and by whole sentences: a refrain, a question
                                  that an interview puts to each guest or a repeated article of law is no fault

Words are those of `pipelines.cleaning.text_table`: a letter in scripts without spaces. Words without a letter (rules,
numbers of a table) have no length. A word that is itself a loop ("aaaa...") is left to other rules.

What is left is searched again until nothing loops, so that cutting twice is the same as cutting once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.cleaning.hashing import HASH_FACTOR, SpanHashes, mix64
from pipelines.cleaning.normalize import tidy_lines
from pipelines.cleaning.scripts import CLOSE, IDEOGRAM, LETTER, character_tables
from pipelines.cleaning.sentences import SENTENCE_ENDS
from pipelines.cleaning.text_table import I64, Bools, TextTable, ends_of
from pipelines.spine.errors import CorpusmillError

ACTIONS = ("cut", "drop", "keep")
#: An ideogram says about as much as three letters.
CHARS_PER_IDEOGRAM = 3
#: A passage has so many words at least, however long they are.
MIN_WORDS = 8
#: Words whose runs are counted to find the texts in which nothing loops.
RUN_WORDS = 4
#: Two passes settle every real text met, nine the worst of the fuzzed ones; the bound keeps the time bounded.
MAX_PASSES = 20
#: Rounds that are tried in one stretch of copies: the most frequent distances between a passage and its next copy.
MAX_LAGS = 3


@dataclass(frozen=True)
class LoopParams:
    """``params.yaml: clean.rules.loops``."""

    action: str  # one of `ACTIONS`
    min_copies: int  # how often a passage stands in a text, the first time included
    min_chars: int  # letters of a passage; an ideogram counts as three
    min_chant_chars: int  # letters of a row whose rounds are shorter than a passage: "la la la la"
    min_percent: int  # of a text's characters: copies that are scattered count where they are so many


@dataclass(frozen=True)
class Loops:
    """The later copies of what loops in a batch."""

    texts: I64  # [n_ranges]: which text, ascending
    starts: I64  # [n_ranges]: the first byte in `TextTable.data`, that after the word before
    stops: I64  # [n_ranges]: the byte after the last word of the copies
    chars: I64  # [n_texts]: characters of the words in the ranges


@dataclass(frozen=True)
class _Stream:
    """Words of some texts in reading order, without those that were cut; every array ``[n_words]`` but the last."""

    places: I64  # in `TextTable.words`
    hashes: np.ndarray  # uint64
    texts: I64
    chars: I64
    letters_before: I64  # [n_words + 1]: running sum of the length that counts

    def letters(self, starts: I64, stops: I64) -> I64:
        """The length of runs of words."""
        return self.letters_before[stops] - self.letters_before[starts]


def check_loops(params: LoopParams) -> None:
    """Raises CorpusmillError where a value can mean nothing."""
    where = "params.yaml: clean.rules.loops"
    if params.action not in ACTIONS:
        raise CorpusmillError("no such action", where=where, expected=", ".join(ACTIONS), got=params.action)
    if params.min_copies < 2 or params.min_chars < 1:
        raise CorpusmillError("a loop has two copies of a letter at least", where=where, got=str(params))


def find_loops(table: TextTable, params: LoopParams) -> Loops:
    """The byte ranges of all copies but the first of what loops in each text, by itself; whatever the action is.

    At most `MAX_PASSES` times n log n for a text of n words; next to nothing where nothing loops.
    """
    places = suspected = _suspected_words(table, params)
    for _ in range(MAX_PASSES if len(suspected) else 0):
        copies = _find_copies(table, _read(table, places), params)
        if not copies.any():
            break
        places = places[~copies]
    return _ranges(table, np.setdiff1d(suspected, places, assume_unique=True))


def cut_loops(texts: Sequence[str], table: TextTable, loops: Loops) -> list[str]:
    """The texts without the ranges; the same objects where nothing is cut.

    Where a range was, the wider of the spaces beside it stays: a blank line, a line break, a space.

    Args:
        texts: those that ``table`` was read from.
        loops: of ``table``.
    """
    edited = list(texts)
    changed, firsts = np.unique(loops.texts, return_index=True)
    lasts = np.append(firsts, len(loops.texts))[1:]
    for text, first, last in zip(changed.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        # A zero stands before each text but the first, and after each.
        begin = table.data.rfind(b"\0", 0, int(loops.starts[first])) + 1
        end = table.data.find(b"\0", int(loops.stops[last - 1]))
        edges = [begin, *np.stack([loops.starts[first:last], loops.stops[first:last]], axis=1).ravel().tolist(), end]
        pieces = [table.data[a:b].decode() for a, b in itertools.pairwise(edges)]
        edited[text] = tidy_lines(_joined(pieces))
    return edited


def _suspected_words(table: TextTable, params: LoopParams) -> I64:
    """The words of the texts that may loop, ascending.

    Each run of four words in a passage stands in its text as often as the passage. So no rare one lies in it, and in
    sound prose there is hardly a long stretch without one. They are counted by some bits of their hash, which finds
    too many of them frequent, never too few.
    """
    words, num_words = table.words, len(table.words.hashes)
    if num_words < MIN_WORDS:
        return np.empty(0, np.int64)
    pairs = (words.hashes + words.texts.view(np.uint64)) * HASH_FACTOR
    pairs[:-1] ^= words.hashes[1:]
    runs = pairs[:-2] * HASH_FACTOR
    runs ^= pairs[2:]
    buckets = (runs >> np.uint64(64 - (2 * num_words).bit_length())).view(np.int64)
    rare = np.flatnonzero((np.bincount(buckets) < params.min_copies).take(buckets))
    # Stretches from behind a rare run's first word to before the next one's last. No word has more letters than bytes.
    edges = np.concatenate([[-1], rare, [num_words - RUN_WORDS + 1]])
    wide = np.flatnonzero(np.diff(edges) > MIN_WORDS - RUN_WORDS + 1)
    firsts, lasts = edges[wide] + 1, edges[wide + 1] + RUN_WORDS - 2
    wide = np.flatnonzero(words.stops[lasts] - words.stops[firsts - 1] * (firsts > 0) >= params.min_chars)
    if not len(wide):
        return np.empty(0, np.int64)
    firsts, lasts = firsts[wide], lasts[wide]
    letters_before = ends_of(_letters(table, np.arange(num_words)))
    wide = np.flatnonzero(letters_before[lasts + 1] - letters_before[firsts] >= params.min_chars)
    suspected = _cover(words.texts[firsts[wide]], words.texts[lasts[wide]] + 1, len(table.languages))
    return np.flatnonzero(suspected[words.texts])


def _letters(table: TextTable, places: I64) -> I64:
    """The length of words that counts: their characters, an ideogram as three; none where no letter is among them."""
    words = table.words
    return (words.chars[places] + (CHARS_PER_IDEOGRAM - 1) * (words.kinds[places] == IDEOGRAM)) * words.alphabetic[
        places
    ]


def _read(table: TextTable, places: I64) -> _Stream:
    words = table.words
    letters_before = ends_of(_letters(table, places))
    return _Stream(places, words.hashes[places], words.texts[places], words.chars[places], letters_before)


def _ends_a_sentence(table: TextTable, places: I64) -> Bools:
    """Whether words end a line or with a mark that ends a sentence; in Thai and its kin with a space."""
    raw, stops = np.frombuffer(table.data, np.uint8), table.words.stops[places]
    lines = np.searchsorted(table.line_words, places, side="right")
    ends = np.diff(lines, append=-1) != 0
    ends |= (table.words.kinds[places] == LETTER) & (raw[stops] == ord(" "))
    # What lies before the first word of a batch are the zeros at the end of the data.
    last_bytes = sum(raw[stops - 1 - k].astype(np.int64) << 8 * k for k in range(3))
    for num_bytes in (1, 2, 3):
        marks = [mark.encode() for mark in SENTENCE_ENDS if len(mark.encode()) == num_bytes]
        ends |= np.isin(last_bytes & ((1 << 8 * num_bytes) - 1), [int.from_bytes(mark, "big") for mark in marks])
    return ends


def _find_copies(table: TextTable, stream: _Stream, params: LoopParams) -> Bools:
    """The words to cut, bool ``[n_words]``; in a text either scattered copies or those in a row."""
    windows, previous = _looping_windows(stream, params)
    if not len(windows):
        return np.zeros(len(stream.hashes), np.bool_)
    copied = _cover(windows, _window_stops(stream, params)[windows], len(stream.hashes))
    scattered = _scattered(table, stream, copied, params)
    # Not both at once: whole rounds may go because the rest of a round follows.
    copied &= ~np.isin(stream.texts, stream.texts[scattered])
    return scattered | _in_a_row(stream, copied, windows, previous, params)


def _window_stops(stream: _Stream, params: LoopParams) -> I64:
    """Where the shortest passage ends that begins with each word; beyond the stream for the last ones."""
    stops = np.searchsorted(stream.letters_before, stream.letters_before[:-1] + params.min_chars)
    return np.maximum(stops, np.arange(len(stops)) + MIN_WORDS)


def _looping_windows(stream: _Stream, params: LoopParams) -> tuple[I64, I64]:
    """The first words of shortest passages that loop, but for each passage's first copy, and those of the copy before."""
    stops = _window_stops(stream, params)
    windows = np.flatnonzero(stops <= np.searchsorted(stream.texts, stream.texts, side="right"))
    salt = stream.texts[windows].astype(np.uint64) * HASH_FACTOR
    keys = mix64(SpanHashes(stream.hashes).between(windows, stops[windows]) + salt)
    order = np.argsort(keys, kind="stable")
    windows, keys = windows[order], keys[order]
    is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    groups = np.cumsum(is_first) - 1
    loops = _stands_often(windows, groups, stops[windows], params.min_copies)
    later = np.flatnonzero(loops[groups] & ~is_first)
    by_place = np.argsort(windows[later], kind="stable")
    return windows[later][by_place], windows[later - 1][by_place]


def _stands_often(windows: I64, groups: I64, stops: I64, min_copies: int) -> Bools:
    """Which groups of equal windows, ascending, hold so many that do not overlap; bool ``[n_groups]``."""
    width = int(stops.max(initial=0)) + 1
    keys = groups * width + windows
    alive = np.arange(groups[-1] + 1 if len(groups) else 0)
    current = np.searchsorted(groups, alive)
    loops = np.zeros(len(alive), np.bool_)
    for _ in range(min_copies - 1):
        # The next one from where the current one ends, if it is still of the group.
        following = np.searchsorted(keys, alive * width + stops[current])
        found = np.append(groups, -1)[following] == alive
        alive, current = alive[found], following[found]
    loops[alive] = True
    return loops


def _in_a_row(stream: _Stream, copied: Bools, windows: I64, previous: I64, params: LoopParams) -> Bools:
    """The words of whole rounds after the first, bool ``[n_words]``."""
    cut = np.zeros(len(copied), np.bool_)
    for start, stop in zip(*_runs(copied), strict=True):
        inside = slice(*np.searchsorted(windows, [start, stop]))
        lags, counts = np.unique(windows[inside] - previous[inside], return_counts=True)
        for lag in lags[np.argsort(-counts, kind="stable")][:MAX_LAGS].tolist():
            rounds = list(_rounds(stream, start, stop, lag, params))
            for first, last in rounds:
                cut[first:last] = True
            if rounds:
                break
    return cut


def _rounds(stream: _Stream, start: int, stop: int, lag: int, params: LoopParams) -> Iterator[tuple[int, int]]:
    """Parts of a stretch that repeat often enough the ``lag`` words before them, cut to whole multiples of those."""
    begin = max(start, lag)
    same = stream.hashes[begin:stop] == stream.hashes[begin - lag : stop - lag]
    same &= stream.texts[begin:stop] == stream.texts[begin - lag : stop - lag]
    firsts, lasts = (edges + begin for edges in _runs(same))
    is_chant = stream.letters(firsts - lag, firsts) < params.min_chars
    min_letters = np.where(is_chant, params.min_chant_chars, params.min_chars)
    often = (lasts - firsts >= (params.min_copies - 1) * lag) & (stream.letters(firsts, lasts) >= min_letters)
    lasts = firsts + (lasts - firsts) // lag * lag
    return zip(firsts[often].tolist(), lasts[often].tolist(), strict=True)


def _scattered(table: TextTable, stream: _Stream, copied: Bools, params: LoopParams) -> Bools:
    """The copied sentences of texts that are mostly copies, bool ``[n_words]``."""
    chars = np.bincount(stream.texts, stream.chars)
    mostly = 100 * np.bincount(stream.texts, stream.chars * copied) >= params.min_percent * chars
    starts, stops = _runs(copied & mostly[stream.texts])
    if not len(starts):
        return np.zeros(len(copied), np.bool_)
    sentence_ends = _ends_a_sentence(table, stream.places)
    # Behind the start of a run the first sentence that begins there; before its stop the last that ends there.
    begins, ends = np.flatnonzero(np.append(True, sentence_ends)), np.flatnonzero(sentence_ends) + 1
    starts = begins[np.searchsorted(begins, starts)]
    stops = np.append(ends, 0)[np.searchsorted(ends, stops, side="right") - 1]
    whole = starts < stops
    return _cover(starts[whole], stops[whole], len(copied))


def _cover(starts: I64, stops: I64, size: int) -> Bools:
    """Which places lie in a range, bool ``[size]``."""
    changes = np.bincount(starts, minlength=size + 1) - np.bincount(stops, minlength=size + 1)
    return np.cumsum(changes)[:size] > 0


def _runs(chosen: Bools) -> tuple[I64, I64]:
    """Where runs of chosen places begin and end."""
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def _ranges(table: TextTable, cut: I64) -> Loops:
    """The byte ranges of some words, ascending; never the first of a text."""
    words, num_texts = table.words, len(table.languages)
    new = np.append(True, (np.diff(cut) > 1) | (np.diff(words.texts[cut]) > 0))[: len(cut)]
    firsts = np.flatnonzero(new)
    lasts = np.append(firsts, len(cut))[1:] - 1
    return Loops(
        texts=words.texts[cut[firsts]],
        starts=words.stops[cut[firsts] - 1],
        stops=words.stops[cut[lasts]],
        # Sums of whole numbers below 2^53 are exact in the float64 of bincount.
        chars=np.bincount(words.texts[cut], words.chars[cut], minlength=num_texts).astype(np.int64),
    )


def _joined(pieces: Sequence[str]) -> str:
    """What is left, cut, left, cut, ... left, without what is cut."""
    text = [pieces[0]]
    for cut, left in zip(pieces[1::2], pieces[2::2], strict=True):
        rest = left.lstrip()
        before, after = cut[: len(cut) - len(cut.lstrip())], left[: len(left) - len(rest)]
        space = max(after, before, key=lambda white: (white.count("\n"), len(white)))
        text += [space or _space_between(text[-1], rest), rest]
    return "".join(text)


def _space_between(left: str, right: str) -> str:
    """A space where two words would become one without it."""
    kinds = character_tables().kinds
    return " " if left and right and kinds[ord(left[-1])] < CLOSE and kinds[ord(right[0])] < IDEOGRAM else ""
