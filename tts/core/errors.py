"""The one exception that means "the user can fix this"."""


class InputError(ValueError):
    """A mistake in what the user gave: one line that says what was wrong, what is allowed and how to fix it.

    The command line prints it to stderr without a traceback and exits with code 2.
    """

    def __init__(self, *args: object, param: str | None = None) -> None:
        """`param`: the argument that was wrong, for a server's answer; None where what raises it does not know."""
        super().__init__(*args)
        self.param = param
