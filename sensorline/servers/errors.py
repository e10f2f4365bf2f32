"""The one exception of the local servers; its text says what failed and what to do."""


class ServersError(RuntimeError):
    """A local server could not be fetched, started, found or stopped."""
