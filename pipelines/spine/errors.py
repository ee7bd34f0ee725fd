"""One kind of error for people: what, where, expected, got, and what to do."""


class CorpusmillError(Exception):
    """A failure that the reader can act on; printed without a traceback, exit status 1.

    Args:
        message: what went wrong, one sentence without a full stop.
        where: file, line, field or unit.
        expected: what would have been right.
        got: what was there.
        hint: the next thing to do.
    """

    #: Beam rebuilds a worker's exception from its message alone, unless it says that this was done already.
    _tagged_with_step = True

    def __init__(
        self, message: str, *, where: str = "", expected: object = "", got: object = "", hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = str(expected)
        self.got = str(got)
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        for label, value in (("expected", self.expected), ("got", self.got), ("hint", self.hint)):
            if value:
                lines.append(f"  {label}: {value}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes pickle exceptions; keyword-only arguments need their own way back.
        return (_rebuild, (self.message, self.where, self.expected, self.got, self.hint))


def _rebuild(message: str, where: str, expected: str, got: str, hint: str) -> CorpusmillError:
    return CorpusmillError(message, where=where, expected=expected, got=got, hint=hint)
