"""Small corpora that hold what a format can get wrong, packed by the real stage with vocabularies of both widths."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import yaml

from pipelines.spine.errors import CorpusmillError
from pipelines.spine.schema import DOCUMENT
from pipelines.spine.shards import ParquetShard
from tokenizer.bpe import learn_merges
from tokenizer.encoding import DOCUMENT_START, Encoder, tokenizer_json

PATTERN = "gpt2"
#: Prime to the others, so that rows, documents and files end at different places.
SEQ_LEN = 61
_SENTENCES = {
    "en": (
        "All human beings are born free and equal in dignity and rights.",
        "They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
        "Everyone has the right to life, liberty and security of person.",
        "No one shall be held in slavery or servitude; slavery and the slave trade shall be prohibited in all their forms.",
    ),
    "zh": (
        "人人生而自由,在尊严和权利上一律平等。",
        "他们赋有理性和良心,并应以兄弟关系的精神相对待。",
        "人人有权享有生命、自由和人身安全。",
        "任何人不得使为奴隶或奴役;一切形式的奴隶制度和奴隶买卖,均应予以禁止。",
    ),
}  # the Universal Declaration of Human Rights, articles 1, 3 and 4


def texts_of(language: str) -> list[str]:
    """Documents of 0 to 60 sentences: an empty one, one of a single byte, and some longer than a row among them."""
    sentences = _SENTENCES[language]
    made = ["", "x"]
    for index in range(150):
        number = 60 if index % 50 == 7 else 1 + index % 7
        made.append(" ".join(f"{sentences[(index + k) % 4]} {index * k}" for k in range(number)))
    return made


def write_pack(folder: Path, wide: bool) -> Path:
    """Packs both languages, a source each, with the stage's own command; ``wide``: a vocabulary above 65,536 ids.

    Returns:
        The folder of token shards; ``tokenizer.json`` lies beside it.
    """
    texts = {language: texts_of(language) for language in _SENTENCES}
    everything = [text for found in texts.values() for text in found]
    tokenizer = folder / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True, exist_ok=True)
    merges = _wide_merges(everything) if wide else learn_merges(_counts(everything), 500)
    tokenizer.write_text(tokenizer_json(merges, [DOCUMENT_START], PATTERN), encoding="utf-8")
    for language, found in texts.items():
        _write_documents(folder / "documents" / f"{language}.parquet", language, found)
    parameters = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    parameters["pack"]["seq_len"] = SEQ_LEN
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters), encoding="utf-8")
    places = ["--input", str(folder / "documents"), "--output", str(folder / "pack"), "--cache", str(folder / "cache")]
    options = ["--params", str(folder / "params.yaml"), "--tokenizer", str(tokenizer)]
    done = subprocess.run([sys.executable, "-m", "pipelines.pack", *places, *options], capture_output=True, text=True)
    if done.returncode:
        raise CorpusmillError("the corpus could not be packed", where=str(folder), got=done.stderr[-1000:])
    return folder / "pack"


def _counts(texts: Iterable[str]) -> list[tuple[bytes, int]]:
    """Words with the space before them: close to what the pattern cuts, and merges across its cuts are never applied."""
    counts = Counter(word.encode() for text in texts for word in re.findall(r" ?\S+", text))
    return sorted(counts.items())


def _wide_merges(texts: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """All 65,536 pairs of bytes, and after them the 500 commonest pairs of those: ids above 65,792 that are used."""
    pairs = [(bytes([a]), bytes([b])) for a, b in itertools.product(range(256), repeat=2)]
    encoder = Encoder(tokenizer_json(pairs, [DOCUMENT_START], PATTERN))
    counts = sorted((pre_token.decode(), number) for pre_token, number in _counts(texts))
    ids, offsets = encoder.encode_batch([pre_token for pre_token, _ in counts])
    following: Counter[tuple[bytes, bytes]] = Counter()
    for (_, number), start in zip(counts, offsets, strict=False):
        if len(parts := ids[start : start + 2]) == 2:
            following[encoder.tokens[parts[0]], encoder.tokens[parts[1]]] += number
    whole: dict[bytes, tuple[bytes, bytes]] = {}
    for (left, right), _ in sorted(following.items(), key=lambda entry: (-entry[1], entry[0]))[:500]:
        if len(left + right) > 2:
            whole.setdefault(left + right, (left, right))
    return [*pairs, *whole.values()]


def _write_documents(path: Path, source: str, texts: list[str]) -> None:
    columns = {name: [""] * len(texts) for name in DOCUMENT.names}
    columns |= {"doc_id": [f"{source}:{index}" for index in range(len(texts))], "text": texts}
    columns["source"] = [source] * len(texts)
    with ParquetShard(path, DOCUMENT) as shard:
        for batch in pa.table(columns, DOCUMENT).to_batches():
            shard.write(batch)
