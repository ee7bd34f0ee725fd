"""Export: the trained model as a folder that others load, with equal logits.

    data/pretrain + data/pack/val-*.arrow  ->  data/export/{config.json, model.safetensors, tokenizer.json,
                                               tokenizer_config.json, generation_config.json, README.md, model.onnx}

logits compared = equal to the bit (by `transformers`; an LSTM, which it does not have, read back by us)
                + within 1e-3 (by ONNX Runtime, with the same 50 likeliest tokens); one that differs fails the stage

Run by ``dvc repro export``, or alone:
``python -m train.export --input data/pack --model data/pretrain --sources data/fetch/manifest.json --output data/export``
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pipelines.spine import storage
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.ledger import Ledger
from pipelines.spine.manifest import dump
from pipelines.spine.stage import Stage, opened, run_module
from train.data import TokenRows
from train.determinism import set_deterministic
from train.hugging_face import (
    architecture,
    generation_config,
    load_in_transformers,
    loads_in_transformers,
    tokenizer_config,
)
from train.model import LanguageModel
from train.model_card import card, read_sources
from train.onnx_check import GREEDY_TOKENS, count_close_logits, expect_onnx_installed
from train.onnx_model import write_onnx
from train.saved import CONFIG, TOKENIZER, WEIGHTS, ModelConfig, check_fits, file_entry, load_model, read_model

FILES = (CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json", "generation_config.json", "README.md")


@dataclasses.dataclass(frozen=True)
class ExportParams:
    """``params.yaml: export``. check_rows: rows of val on which the logits are compared; onnx: whether a graph is made."""

    num_threads: int
    check_rows: int
    onnx: bool


STAGE = Stage("train.export", ExportParams, ("python", "onnx", "torch", "transformers"))


def main(argv: list[str]) -> None:
    """The command."""
    with opened(STAGE, argv, _add_options) as job:
        params: ExportParams = job.params
        if params.onnx:
            expect_onnx_installed()
        set_deterministic(params.num_threads, seed=0)
        source = Path(job.args.model)
        model, config = read_model(source)
        rows = TokenRows(job.inputs[0], "val")
        check_fits(config, rows)
        files = None
        if job.args.sources:
            files = read_sources(
                Path(job.args.sources), [name for name, _ in TokenRows(job.inputs[0], "train").sources]
            )
            job.also_read.append(str(Path(job.args.sources).parent))
        job.also_read.append(str(source))
        job.begin()
        write_folder(source, job.output, config)
        storage.write_text(job.output / "README.md", card(source, config, files, params.onnx))
        ledger, said = Ledger("logits"), ""
        count_equal_logits(model, rows, job.output, stranger_of(config), params.check_rows, ledger)
        names = list(FILES)
        if params.onnx:
            names += write_onnx(job.output, model, config)
            worst = count_close_logits(model, rows, job.output, params.check_rows, params.num_threads, ledger)
            said = f"; by ONNX Runtime within {worst:.1g}, the same {GREEDY_TOKENS} likeliest tokens"
        job.publish([file_entry(job.output / name) for name in names], ledger)
    print(f"export: {ledger.given['equal']:,} logits equal to the bit{said}; folder {job.output}", file=sys.stderr)


def write_folder(source: Path, target: Path, config: ModelConfig) -> None:
    """Writes all but the card. Weights and tokenizer are the trained ones, byte for byte: no tensor is renamed."""
    for name in (WEIGHTS, TOKENIZER):
        storage.link(source / name, target / name)
    storage.write_text(target / CONFIG, dump(architecture(config)))
    storage.write_text(target / "tokenizer_config.json", dump(tokenizer_config(config)))
    storage.write_text(target / "generation_config.json", dump(generation_config(config)))


def stranger_of(config: ModelConfig) -> Callable[[Path], Callable[[Tensor], Tensor]]:
    """Who loads the folder to compare: ``transformers``, or what ``train.generate`` would."""
    return load_in_transformers if loads_in_transformers(config) else lambda folder: load_model(folder)[0]


def count_equal_logits(
    model: LanguageModel,
    rows: TokenRows,
    folder: Path,
    load: Callable[[Path], Callable[[Tensor], Tensor]],
    num_rows: int,
    ledger: Ledger,
) -> None:
    """Loads the folder as a stranger would and compares the logits of val rows, seen whole by both.

    Raises:
        CorpusmillError: one logit differs.
    """
    stranger = load(folder)
    for index in range(min(num_rows, rows.num_rows)):
        tokens = torch.from_numpy(rows.scoring_batch([index]).tokens.copy())
        with torch.no_grad():
            ours, theirs = model(tokens), stranger(tokens)
        difference = float((ours - theirs).abs().max())
        if not torch.equal(ours, theirs):
            raise CorpusmillError(
                "the exported model computes other logits", where=f"{folder}, row {index} of val",
                expected="a greatest difference of 0", got=f"{difference:.3g}",
                hint="is this the version of transformers that versions.yaml names?",
            )  # fmt: skip
        ledger.take(ours.numel())
        ledger.give("equal", ours.numel())


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="data/pretrain", metavar="DIR", help="trained model (default: %(default)s)")
    parser.add_argument("--sources", default="", metavar="FILE", help="manifest.json of fetch: sources in the card")


if __name__ == "__main__":
    sys.exit(run_module("train.export"))
