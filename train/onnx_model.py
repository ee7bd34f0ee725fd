"""A trained model as an ONNX graph, built node by node: equal weights give equal bytes, and no tracer is needed.

    input_ids  int64 [batch, length]  ->  logits  fp32 [batch, length, vocabulary]

A row is one document: each position sees all before it. Weights keep the names of ``model.safetensors``. Operators are
those of opset 18, so engines of 2023 and later run it. Specification: onnx.ai/onnx/operators.

Shapes, as suffixes of names: B batch, T length, D width, H query heads, K key heads, C width of a head, V vocabulary.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.spine import storage
from train.lstm import LstmModel
from train.model import Decoder, LanguageModel, rotary_frequencies
from train.saved import ModelConfig, weights_to_store

ONNX, ONNX_DATA = "model.onnx", "model.onnx.data"
OPSET, IR_VERSION = 18, 9
#: A protocol buffer holds less than 2 GiB: larger weights lie in a file of their own beside the graph.
MOST_INSIDE = 2**31 - 2**24
_SMALL = 1024  # bytes; sizes and axes, which checkers want to see in the graph
_ALIGNMENT = 4096  # so that an engine can map the file's tensors into memory


class Graph:
    """Nodes and constants in the order they are added; each method returns the name of what it adds."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.nodes: list[Any] = []
        self.tensors = dict(weights)

    def add(self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """One node: the name of its output, or a list of several."""
        from onnx import helper

        stem = name or f"{operator.lower()}_{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=stem, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, kind: type = np.int64) -> str:
        """A small tensor; equal ones are kept once."""
        array: np.ndarray = np.asarray(value, kind)
        name = f"{array.dtype}_{'_'.join(map(str, array.ravel().tolist()))}_{array.ndim}"
        self.tensors.setdefault(name, array)
        return name

    def linear(self, x: str, weight: str) -> str:
        """x times the transposed weight [out, in], as torch stores it; engines transpose once, on loading."""
        return str(self.add("MatMul", x, self.add("Transpose", weight, perm=[1, 0])))

    def reshape(self, x: str, *sizes: int) -> str:
        """0 keeps a size, -1 takes what is left."""
        return str(self.add("Reshape", x, self.constant(sizes)))


def build_graph(model: LanguageModel) -> Graph:
    """The model's computation from ``input_ids`` to ``logits``."""
    stored = weights_to_store(model.params, model.state_dict())
    graph = Graph({name: tensor.float().cpu().numpy() for name, tensor in stored.items()})
    x_BTD = graph.add("Gather", "model.embed_tokens.weight", "input_ids")
    x_BTD = lstm_layers(graph, model, x_BTD) if isinstance(model, LstmModel) else decoder_layers(graph, model, x_BTD)
    head = "model.embed_tokens.weight" if model.params.tie_embeddings else "lm_head.weight"
    graph.add("MatMul", x_BTD, graph.add("Transpose", head, perm=[1, 0]), name="logits")
    return graph


def lstm_layers(graph: Graph, model: LstmModel, x_BTD: str) -> str:
    """All layers. The gates i, f, g, o of torch are i, o, f, c in ONNX."""
    reordered = [0, 3, 1, 2]
    x_TBD = graph.add("Transpose", x_BTD, perm=[1, 0, 2])
    for index in range(model.params.num_layers):
        parts = {}
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            gates = graph.tensors.pop(f"model.layers.{index}.{name}").reshape(4, model.params.width, -1)[reordered]
            parts[name] = gates.reshape(1, 4 * model.params.width, -1)
        biases = np.concatenate([parts["bias_ih_l0"], parts["bias_hh_l0"]], axis=1)[:, :, 0]
        inputs = {"W": parts["weight_ih_l0"], "R": parts["weight_hh_l0"], "B": biases}
        names = {short: f"model.layers.{index}.{short}" for short in inputs}
        graph.tensors |= {names[short]: np.ascontiguousarray(array) for short, array in inputs.items()}
        y_T1BD = graph.add("LSTM", x_TBD, *names.values(), hidden_size=model.params.width)
        x_TBD = graph.add("Squeeze", y_T1BD, graph.constant([1]))
    return str(graph.add("Transpose", x_TBD, perm=[1, 0, 2]))


def decoder_layers(graph: Graph, model: Decoder, x_BTD: str) -> str:
    """All layers and the last norm."""
    rotary, mask_TT = _rotary(graph, model), _causal_mask(graph)
    for index in range(model.params.num_layers):
        layer = f"model.layers.{index}"
        normed = _norm(graph, model, x_BTD, f"{layer}.input_layernorm.weight")
        x_BTD = graph.add("Add", x_BTD, _attention(graph, model, normed, layer, rotary, mask_TT))
        normed = _norm(graph, model, x_BTD, f"{layer}.post_attention_layernorm.weight")
        gate = graph.linear(normed, f"{layer}.mlp.gate_proj.weight")
        silu = graph.add("Mul", gate, graph.add("Sigmoid", gate))
        gated = graph.add("Mul", silu, graph.linear(normed, f"{layer}.mlp.up_proj.weight"))
        x_BTD = graph.add("Add", x_BTD, graph.linear(gated, f"{layer}.mlp.down_proj.weight"))
    return _norm(graph, model, x_BTD, "model.norm.weight")


def _norm(graph: Graph, model: Decoder, x: str, weight: str) -> str:
    square = graph.add("ReduceMean", graph.add("Mul", x, x), graph.constant([-1]), keepdims=1)
    root = graph.add("Sqrt", graph.add("Add", square, graph.constant(model.params.norm_epsilon, np.float32)))
    return str(graph.add("Mul", graph.add("Div", x, root), weight))


def _positions(graph: Graph) -> str:
    """0 .. length - 1, int64 [T]."""
    length = graph.add("Gather", graph.add("Shape", "input_ids"), graph.constant(1))
    return str(graph.add("Range", graph.constant(0), length, graph.constant(1)))


def _rotary(graph: Graph, model: Decoder) -> tuple[str, str]:
    """Cosines and sines [T, C], from the model's own frequencies: one's last bit is up to 6e-5 rad at position 1,000."""
    frequencies = rotary_frequencies(model.params.head_width, model.params.rope_theta).numpy()
    graph.tensors["rotary.frequencies"] = np.concatenate([frequencies, frequencies])[None, :]
    column = graph.add("Unsqueeze", graph.add("Cast", _positions(graph), to=1), graph.constant([1]))
    angles = graph.add("Mul", column, "rotary.frequencies")
    return graph.add("Cos", angles), graph.add("Sin", angles)


def _causal_mask(graph: Graph) -> str:
    """What is added to the scores, fp32 [T, T]: 0 where a position may look, else minus infinity."""
    positions = _positions(graph)
    row, column = (graph.add("Unsqueeze", positions, graph.constant([axis])) for axis in (0, 1))
    ahead = graph.add("Less", column, row)
    return str(graph.add("Where", ahead, graph.constant(-math.inf, np.float32), graph.constant(0.0, np.float32)))


def _attention(graph: Graph, model: Decoder, x_BTD: str, layer: str, rotary: tuple[str, str], mask_TT: str) -> str:
    params, attention = model.params, f"{layer}.self_attn"

    def heads(which: str, number: int, turned: bool) -> str:
        x = graph.reshape(graph.linear(x_BTD, f"{attention}.{which}_proj.weight"), 0, 0, number, params.head_width)
        if turned and params.qk_norm:
            x = _norm(graph, model, x, f"{attention}.{which}_norm.weight")
        x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
        return _turned(graph, x, rotary) if turned else x

    q_BHTC = heads("q", params.num_heads, turned=True)
    k_BHTC = _repeated(graph, model, heads("k", params.num_kv_heads, turned=True))
    v_BHTC = _repeated(graph, model, heads("v", params.num_kv_heads, turned=False))
    scores = graph.add("MatMul", q_BHTC, graph.add("Transpose", k_BHTC, perm=[0, 1, 3, 2]))
    scores = graph.add("Mul", scores, graph.constant(1 / math.sqrt(params.head_width), np.float32))
    shares = graph.add("Softmax", graph.add("Add", scores, mask_TT), axis=-1)
    y_BTHC = graph.add("Transpose", graph.add("MatMul", shares, v_BHTC), perm=[0, 2, 1, 3])
    return graph.linear(graph.reshape(y_BTHC, 0, 0, params.width), f"{attention}.o_proj.weight")


def _turned(graph: Graph, x: str, rotary: tuple[str, str]) -> str:
    first, second = graph.add("Split", x, outputs=2, axis=-1, num_outputs=2)
    crossed = graph.add("Concat", graph.add("Neg", second), first, axis=-1)
    return str(graph.add("Add", graph.add("Mul", x, rotary[0]), graph.add("Mul", crossed, rotary[1])))


def _repeated(graph: Graph, model: Decoder, x_BKTC: str) -> str:
    """Each key head once for every query head of its group: [B, H, T, C]."""
    groups = model.params.num_heads // model.params.num_kv_heads
    if groups == 1:
        return x_BKTC
    once = graph.add("Unsqueeze", x_BKTC, graph.constant([2]))
    return graph.reshape(
        graph.add("Concat", *[once] * groups, axis=2), 0, model.params.num_heads, -1, model.params.head_width
    )


def write_onnx(folder: Path, model: LanguageModel, config: ModelConfig, most_inside: int = MOST_INSIDE) -> list[str]:
    """Writes ``model.onnx``, and ``model.onnx.data`` where the weights are too many for it; returns what was written."""
    from onnx import TensorProto, helper, numpy_helper

    graph = build_graph(model)
    small = {name: array for name, array in graph.tensors.items() if array.nbytes < _SMALL}
    large = {name: array for name, array in graph.tensors.items() if name not in small}
    outside = sum(array.nbytes for array in large.values()) > most_inside
    tensors = [numpy_helper.from_array(array, name) for name, array in (small if outside else graph.tensors).items()]
    if outside:
        tensors += _written_outside(folder / ONNX_DATA, large)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", config.vocab_size])
    document = helper.make_model(
        helper.make_graph(graph.nodes, "language_model", [ids], [logits], tensors),
        producer_name="corpusmill", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    facts = {"document_start_id": config.document_start_id, "seq_len": config.seq_len,
             "tokenizer_sha256": config.tokenizer_sha256}  # fmt: skip
    helper.set_model_props(document, {name: str(value) for name, value in facts.items()})
    with storage.publishing(folder / ONNX) as file:
        file.write(document.SerializeToString(deterministic=True))
    return [ONNX, ONNX_DATA] if outside else [ONNX]


def _written_outside(path: Path, arrays: dict[str, np.ndarray]) -> list[Any]:
    """Writes fp32 arrays one after the other; the tensors that say where each lies."""
    from onnx import TensorProto

    tensors, place = [], 0
    with storage.publishing(path) as file:
        for name, array in arrays.items():
            gap = -place % _ALIGNMENT
            file.write(b"\0" * gap + array.astype("<f4").tobytes())
            tensor = TensorProto(name=name, dims=array.shape, data_type=TensorProto.FLOAT)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", path.name), ("offset", place + gap), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            place += gap + array.nbytes
    return tensors
