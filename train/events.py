"""What TensorBoard shows of a run, written by TensorBoard's own writer and messages.

Its ``RecordWriter`` and not the ``EventFileWriter`` above it: that one writes from a thread, where a full disk ends in a
traceback and a kill loses what waits, and it names files by the second and the process number, so that the order of
two lives in one second is chance.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventFile:
    """One life of a run; its folder is the run.

    Args:
        folder: made when missing; what other lives left there stays.
        first: steps that were done before. What an earlier life showed of later ones is void, and TensorBoard drops it.
    Raises:
        ImportError: TensorBoard is not installed.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        # Here, since only the leading process needs it: it takes a quarter of a second.
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._events, self._summaries, self._tensors = event_pb2, summary_pb2, tensor_pb2
        self._vector = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
        self._string = types_pb2.DT_STRING
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names: that of their beginnings.
        path = folder / f"events.out.tfevents.{time.time_ns() // 1000:016d}.{first}"
        # Unbuffered: a record is one write, so a kill leaves no half record but at the disk's own whim.
        self._file = RecordWriter(open(path, "ab", buffering=0))  # noqa: SIM115 (closed by close)
        self._write(first + 1, file_version="brain.Event:2")
        self.restart(first)

    def restart(self, first: int) -> None:
        """Makes what was shown of steps after ``first`` void."""
        self._write(first + 1, session_log=self._events.SessionLog(status=self._events.SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by tag; tags before a slash are drawn in one group."""
        parts = [self._summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step, summary=self._summaries.Summary(value=parts))

    def text(self, step: int, tag: str, text: str) -> None:
        """A text; Markdown."""
        plugin = self._summaries.SummaryMetadata.PluginData(plugin_name="text")
        metadata = self._summaries.SummaryMetadata(plugin_data=plugin)
        tensor = self._tensors.TensorProto(
            dtype=self._string, tensor_shape=self._vector, string_val=[text.encode(errors="replace")]
        )
        value = self._summaries.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self._write(step, summary=self._summaries.Summary(value=[value]))

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **what: Any) -> None:
        self._file.write(self._events.Event(wall_time=time.time(), step=step, **what).SerializeToString())
