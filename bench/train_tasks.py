"""The sample's model on LAMBADA, PIQA and ChnSentiCorp by lm-eval, which runs in an environment of its own.

    python -m bench.train_tasks [--model data/export] [--data ../shared/data/eval] [--limit N]

The table stands beside chance: what always giving the most frequent answer would get. LAMBADA's chance is nearly 0.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench.peers import python_of, requirements
from pipelines.spine.command import run_module
from pipelines.spine.errors import CorpusmillError

#: The pins of lm-eval and all that it needs: ``bench/tasks.txt``.
PEER = "tasks"
FILES = {"lambada": "lambada_openai.jsonl", "piqa": "piqa.jsonl", "chnsenticorp": "ChnSentiCorp_htl_all.csv"}


def main(argv: list[str]) -> None:
    """The command; its numbers go to ``logs/tasks.json`` too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="data/export", metavar="DIR", help="exported model (default: %(default)s)")
    parser.add_argument("--data", default="../shared/data/eval", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--decontaminated", default="", metavar="FILE", help="sets.json of `decontaminate`")
    parser.add_argument("--limit", default="0", metavar="N", help="rows of each task; 0: all")
    args = parser.parse_args(argv)
    folder = Path(args.data)
    if lacking := [name for name in FILES.values() if not (folder / name).is_file()]:
        raise CorpusmillError("the tasks' files are not there", where=str(folder), got=", ".join(lacking))
    given = [part for name, file in FILES.items() for part in ("--task", f"{name}={folder / file}")]
    given += ["--model", args.model, "--decontaminated", args.decontaminated, "--limit", args.limit]
    python = python_of(PEER, requirements(PEER))
    command = [str(python), "-m", "train.task_scores", *given]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    if done.returncode:
        raise CorpusmillError("lm-eval did not run to its end", where=" ".join(command[1:3]))


if __name__ == "__main__":
    sys.exit(run_module("bench.train_tasks"))
