"""The one exception that a user is meant to see."""


class InputError(ValueError):
    """A fault of the input: its message is a sentence for the person who can mend it.

    The command line prints the message and exits with 1; anything else that reaches it is a bug.
    """
