"""datatrove's MinHash deduplication, run in its own environment: its four steps one after another, as its example does.

    python -m bench.duplicates_datatrove <folder of .jsonl> <scratch folder> <workers> <language>

Everything is its default: 14 buckets of 8 hashes, word 5-grams, xxhash. What it keeps lies in <scratch folder>/kept.
English words are split by spaCy's blank pipeline and Chinese by jieba, whose dictionary its package holds: nothing is
downloaded. One pipeline has one language, so a mixed set is split as Chinese.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.typeshelper import Languages

LANGUAGES = {"en": Languages.english, "zh": Languages.mandarin_chinese}


def steps(source: Path, scratch: Path, language: str) -> list[tuple[int, list[Any]]]:
    """(tasks, pipeline) of signatures, buckets, clusters, and the filter that writes what is kept."""
    config = MinhashConfig()
    files = len(list(source.glob("*.jsonl")))
    signed, paired, remove = str(scratch / "signatures"), str(scratch / "buckets"), str(scratch / "remove")
    kept = JsonlWriter(str(scratch / "kept"), compression=None)
    return [
        (files, [JsonlReader(str(source)), MinhashDedupSignature(signed, config, LANGUAGES[language])]),
        (config.num_buckets, [MinhashDedupBuckets(signed, paired, config=config)]),
        (1, [MinhashDedupCluster(paired, remove, config=config)]),
        (files, [JsonlReader(str(source)), MinhashDedupFilter(remove), kept]),
    ]


def main(argv: Sequence[str]) -> None:
    """The command above."""
    source, scratch, workers, language = Path(argv[0]), Path(argv[1]), int(argv[2]), argv[3]
    for number, (tasks, pipeline) in enumerate(steps(source, scratch, language)):
        # Its default, forkserver, leaves the workers' CPU time to a process that nobody waits for.
        LocalPipelineExecutor(
            pipeline,
            tasks=tasks,
            workers=workers,
            logging_dir=str(scratch / f"logs-{number}"),
            start_method="fork",
        ).run()


if __name__ == "__main__":
    main(sys.argv[1:])
