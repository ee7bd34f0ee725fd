"""The languages beside a token shard: one entry a segment in the order of the rows, and clear words where they lack."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from token_shards import TEXTS, language_of, write_pack, write_tokenizer

from pipelines.segment_languages import LANGUAGES, languages_of_segments, read_languages
from pipelines.token_shards import SPLITS, SplitRows


def test_each_segment_gets_the_language_of_its_document() -> None:
    batch = languages_of_segments(pa.array(["en", "zh", ""]), np.array([1, 0, 1, 2]))
    assert batch["language"].to_pylist() == ["zh", "en", "zh", ""]


def test_the_file_of_a_shard_follows_the_segments_of_its_rows(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack", write_tokenizer(tmp_path / "tokenizer.json"))
    texts = {f"s:{key}": text for key, text in TEXTS}
    for split in SPLITS:
        (shard,) = SplitRows(folder, split).shards
        documents = [doc_id for row in range(shard.num_rows) for doc_id in shard.doc_ids(row)]
        codes, names = read_languages(folder / LANGUAGES / shard.path.name, len(documents))
        assert [names[code] for code in codes] == [language_of(texts[doc_id]) for doc_id in documents]
        assert sorted(names) == ["en", "ja"]
