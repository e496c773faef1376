"""Runs a module as a program that ends when the program that started it ends, even by ``kill -9``.

``python -m scfm_core.lifeline MODULE ARGUMENT...``: the starter holds the other end of the standard input, which closes
with it. This works wherever there are pipes and needs no code between fork and exec.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 5.0


def main() -> None:
    """Run the module named by the first argument, with the arguments that follow."""
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
