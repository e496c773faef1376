"""Which device the work of this thread runs on; knows device names, not torch."""

import os
import threading

_here = threading.local()


def use_device(name: str) -> None:
    """Let this thread compute on a device, named as torch names it: ``"cpu"``, ``"cuda:0"``."""
    _here.device = name


def this_device() -> str:
    """Return the device of this thread: as set by `use_device`, by ``SCFM_DEVICE``, or the best there is."""
    name: str | None = getattr(_here, "device", None) or os.environ.get("SCFM_DEVICE")
    if name is None:
        from scfm_core.tensors import available_devices  # torch is slow to import

        name = available_devices()[0]
        use_device(name)
    return name
