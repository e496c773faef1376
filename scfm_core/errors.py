"""Every error that a user can cause.

ScfmError
├── DatasetError      the file cannot be used as it is
├── ModelError        the model cannot be found, loaded, or applied to this dataset
├── RequestError      the parameters of a request contradict each other or the data
└── Cancelled         somebody stopped the job
"""


class ScfmError(Exception):
    """An error whose message is written for the person at the screen.

    Parameters
    ----------
    message
        What was expected, what was found, what to do.
    code
        A stable short name for programs, such as ``"not-counts"``; may stay empty.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, code)  # both in args, so that the error survives pickling

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def code(self) -> str:
        """The stable short name, empty where none was given."""
        return str(self.args[1])


class DatasetError(ScfmError):
    """The file cannot be used as it is."""


class ModelError(ScfmError):
    """The model cannot be found, loaded, or applied to this dataset."""


class RequestError(ScfmError):
    """The parameters of a request contradict each other or the data."""


class Cancelled(ScfmError):
    """Somebody stopped the job."""
