"""Token shards as readers see them: rows, whole documents, and what is refused."""

from pathlib import Path

from token_shards import TEXTS, write_pack, write_tokenizer

from pipelines.token_shards import SplitRows
from tokenizer.encoding import Encoder


def test_whole_documents_come_with_their_ids_and_are_what_was_encoded(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    rows = SplitRows(write_pack(tmp_path / "pack", tokenizer), "val")
    found = {doc_id: tokens.tolist() for shard in rows.shards for doc_id, tokens in shard.whole_documents()}
    encoder = Encoder(tokenizer)
    assert found == {f"s:{key}": encoder.encode_documents([text])[0].tolist() for key, text in TEXTS[::5]}
    assert [tokens.tolist() for tokens in rows.shards[0].documents()] == list(found.values())
