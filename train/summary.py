"""The line that says what is about to be trained."""

from pipelines.token_shards import ShardFacts
from train.recipe import PretrainParams


def summary(params: PretrainParams, facts: ShardFacts, num_slots: int, world_size: int) -> str:
    """Kind and size of the model, its cost, the length of the run, and how it is spread over processes.

    Args:
        num_slots: rows an epoch shows.
    """
    model, engine = params.model, params.engine
    sizes = model.size if isinstance(model.size, str) else model.sizes
    name = sizes if isinstance(sizes, str) else ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    parameters = model.num_parameters(facts.vocab_size)
    hidden = model.num_parameters(0)  # linear in the vocabulary: what is left are the layers
    flops = model.flops_per_token(facts.vocab_size, facts.seq_len)
    tokens, epochs = params.rows_per_step * facts.seq_len, params.steps * params.rows_per_step / num_slots
    parallel = engine.tensor_parallel * engine.pipeline_stages
    layout = f"data {world_size // parallel} x tensor {engine.tensor_parallel} x pipeline {engine.pipeline_stages}"
    return (
        f"pretrain {model.kind} {name}: {_millions(parameters)} parameters ({_millions(hidden)} without embeddings), "
        f"{flops / 1e6:,.4g} MFLOP a token; {params.steps:,} steps x {tokens:,} tokens = {epochs:.3g} epochs; "
        f"{world_size} {'process' if world_size == 1 else 'processes'} ({layout}, ZeRO {engine.zero_stage})"
    )


def _millions(number: int) -> str:
    return f"{number / 1e6:,.4g} M"
