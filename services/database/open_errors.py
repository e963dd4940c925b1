"""CannotOpenStore: the store cannot be used, in one sentence."""


class CannotOpenStore(Exception):
    """The store cannot be used; the message is one sentence that says why."""
