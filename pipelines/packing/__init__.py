"""Token ids of documents -> rows of one length, every text token a target exactly once.

Words: a *row* has ``row_len = seq_len + 1`` ids (inputs ``row[:-1]``, targets ``row[1:]``); a *segment* is one
document's run of ids inside a row; *padding* (the document-start id) fills what is left at a row's end.

Worked example, ``row_len`` 5, the document start is 0, documents ``0 x`` and ``0 a b c d e f``:

    best_fit     0 x d e f        a document is cut only where it is longer than a row; a continuing segment
                 0 a b c d        repeats the last id of the one before it (d: context)
    concatenate  0 x 0 a b        documents one after another, cut where the row ends
                 b c d e f
    best_fit,    0 x 0 0 0        the rest of a long document is dropped, and counted: e and f
    truncate     0 a b c d

Targets: each text token once (``0`` and repeated context at the head of a segment are no text targets). 9 ids in + 1
repeated = 10 places; with truncate 9 in = 7 in rows + 2 dropped, and 3 places of padding. Source of best-fit
decreasing for packing: "Fewer Truncations Improve Language Modeling" (Ding et al. 2024).
"""

from pipelines.packing.pieces import Pieces, split_documents, truncate_documents
from pipelines.packing.rows import (
    UINT16_IDS,
    PackedRows,
    pack_rows,
    rows_to_batches,
    token_dtype,
    token_shard_schema,
)
from pipelines.packing.strategies import RowPlan, plan_rows

__all__ = [
    "UINT16_IDS",
    "PackedRows",
    "Pieces",
    "RowPlan",
    "pack_rows",
    "plan_rows",
    "rows_to_batches",
    "split_documents",
    "token_dtype",
    "token_shard_schema",
    "truncate_documents",
]
