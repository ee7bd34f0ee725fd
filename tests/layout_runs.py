"""Short trainings under any layout, several processes each, that start in milliseconds: forks of one warm process.

Started by ``LayoutRuns``; as a script it reads one JSON request a line, runs it in the processes asked for, and
answers with what each of them ended with.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]


class LayoutRuns:
    """A process from which trainings fork; a context manager.

    Args:
        folder: where results and logs go.
        pack: token shards.
    """

    def __init__(self, folder: Path, pack: Path) -> None:
        self.folder, self.pack = folder, pack

    def __enter__(self) -> Self:
        environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        environment["OMP_NUM_THREADS"] = "1"
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate(timeout=30)

    def pretrain(self, argv: list[str], processes: int, env: dict[str, str]) -> tuple[list[int], str]:
        """The whole command in several processes; what each ended with, and what the leading one said."""
        answer = self._ask({"argv": argv, "processes": processes, "env": env, "log": str(self.folder / "run.log")})
        return answer, (self.folder / "run.log").read_text()

    def train(
        self,
        changed: dict[str, Any],
        processes: int = 1,
        steps: int = 6,
        load: Path | None = None,
        save: Path | None = None,
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Trains up to a step, from a checkpoint or from the start; what the leading process saw, or ``said``.

        Returns:
            ``losses``, ``norms``, ``accuracies``, ``applied`` by step; ``scores`` on val at the end; ``layer_norms``
            of the last step; ``weights``: a digest; ``status`` of each process, ``said`` where one failed.
        """
        out = self.folder / "result.json"
        out.unlink(missing_ok=True)
        request = {
            "changed": changed, "processes": processes, "steps": steps, "load": str(load) if load else None,
            "save": str(save) if save else None, "env": env or {}, "pack": str(self.pack), "out": str(out),
            "log": str(self.folder / "run.log"), **more,
        }  # fmt: skip
        status = self._ask(request)
        found = json.loads(out.read_text()) if out.exists() else {}
        return {**found, "status": status, "said": (self.folder / "run.log").read_text()}

    def _ask(self, request: dict[str, Any]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        statuses: list[int] = json.loads(self._process.stdout.readline())
        return statuses


def serve() -> None:
    # What DeepSpeed and torch import on first use is 4 of the 5 seconds that a run would take.
    import deepspeed.pipe
    import deepspeed.runtime.zero.muon.original_muon
    import deepspeed.runtime.zero.stage3  # noqa: F401
    import test_train_recipe  # noqa: F401
    import torch._dynamo  # noqa: F401

    import train.pretrain  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        children = []
        for rank in range(request["processes"]):
            child = os.fork()
            if child == 0:
                _run(request, rank, port)
            children.append(child)
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


def _run(request: dict[str, Any], rank: int, port: str) -> None:
    import traceback

    from pipelines.spine.errors import CorpusmillError

    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if rank == 0 else os.O_APPEND)
    log = os.open(request["log"] + ("" if rank == 0 else f".{rank}"), flags)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["env"])
    if request["processes"] > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(request["processes"]), MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port, GLOO_SOCKET_IFNAME="lo",
        )  # fmt: skip
    status = 1
    signal.alarm(300)  # a run that hangs ends, and its test fails
    try:
        status = _pretrain(request["argv"]) if "argv" in request else train_some(request)
    except CorpusmillError as error:
        print(f"error: {error}")
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _pretrain(argv: list[str]) -> int:
    from pipelines.spine.stage import run_module

    sys.argv = ["train.pretrain", *argv]
    return run_module("train.pretrain")


def train_some(request: dict[str, Any]) -> int:
    """Trains as the request says and leaves what it saw in a file; returns the exit status."""
    from test_train_recipe import recipe

    from train.data import TokenRows
    from train.determinism import set_deterministic
    from train.engine import Engine
    from train.model import build_model, init_weights
    from train.order import Order
    from train.training_state import digest
    from train.world import join_world

    params = recipe(**request["changed"])
    params.check()
    world = join_world()
    set_deterministic(1, params.seed)
    rows, val = TokenRows(request["pack"], "train"), TokenRows(request["pack"], "val")
    model = build_model(params.model, rows.facts.vocab_size)
    init_weights(model, params.seed)
    engine = Engine(model, params, world, request.get("made_for") or {})
    order = Order(params.seed, rows.sources, params.source_weights)
    done = engine.load(Path(request["load"]))["step"] if request["load"] else 0
    results = []
    for step in range(done + 1, request["steps"] + 1):
        indices = order.rows((step - 1) * params.rows_per_step, params.rows_per_step).tolist()
        last, left_out = step == request["steps"], step in request.get("left_out", ())
        results.append(engine.step(rows.step_rows(indices), step, lambda loss: True, last, left_out))
    if "file_bytes" in request:  # as a full disk: a file that grows beyond it is an OSError
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    if request["save"]:
        engine.save(Path(request["save"]), {"step": request["steps"]})
    weights = engine.weights()
    average = engine.weights("ema") if params.ema_decay else {}
    seen = {
        "losses": [result.loss for result in results],
        "norms": [result.gradient_norm for result in results],
        "accuracies": [result.accuracy for result in results],
        "applied": [result.applied for result in results],
        "layer_norms": results[-1].layer_norms if results else None,
        "scores": engine.scores(val, list(range(val.num_rows))),
        "names": sorted(weights),
        "weights": digest({name: tensor.tolist() for name, tensor in weights.items()}) if world.leads else "",
        "sums": {name: float(tensor.double().sum()) for name, tensor in weights.items()},
        "ema": {name: float(tensor.double().sum()) for name, tensor in average.items()},
    }
    if world.leads:
        Path(request["out"]).write_text(json.dumps(seen))
    return 0


if __name__ == "__main__":
    serve()
