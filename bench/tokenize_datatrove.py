"""datatrove's ``DocumentTokenizer``, run in its own environment on JSON lines: ids and document ends, not shuffled.

``python -m bench.tokenize_datatrove <folder of .jsonl> <tokenizer.json> <scratch folder> <workers>``
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer


def main(argv: Sequence[str]) -> None:
    """The command above."""
    source, tokenizer, scratch, workers = Path(argv[0]), argv[1], Path(argv[2]), int(argv[3])
    reader = JsonlReader(str(source))
    # Without its shuffle, which reads and writes all tokens again.
    writer = DocumentTokenizer(
        str(scratch / "tokens"), tokenizer, eos_token="<|endoftext|>", shuffle_documents=False, batch_size=1000
    )
    # Its default, forkserver, leaves the workers' CPU time to a process that nobody waits for.
    LocalPipelineExecutor(
        [reader, writer], tasks=workers, workers=workers, logging_dir=str(scratch / "logs"), start_method="fork"
    ).run()


if __name__ == "__main__":
    main(sys.argv[1:])
