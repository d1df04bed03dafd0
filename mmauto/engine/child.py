"""The executor's own process, ``python -m mmauto.engine.child``; see `mmauto.engine.process`.

It holds no database handle; when the coordinator goes away, it ends.
"""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection

from mmauto.engine.jobs import ExplainJob, ProbeJob, Setup


def serve(connection: Connection) -> None:
    """Receive one setup, then packs, until told to stop."""
    from mmauto.engine.executor import Executor

    setup: Setup = connection.recv()
    executor = Executor(
        setup,
        say=lambda text: connection.send(("say", text)),
        done=lambda outcome: connection.send(("outcome", outcome)),
        alive=lambda: connection.send(("alive", None)),
    )

    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        connection.send(("epoch", (epoch, values)))
        keep: Mapping[int, bool] = connection.recv()
        return keep

    while (work := connection.recv()) is not None:
        if isinstance(work, ProbeJob):
            executor.probe(work, lambda *answer: connection.send(("answer", answer)))
        elif isinstance(work, ExplainJob):
            executor.explain(work, lambda *seen: connection.send(("seen", seen)))
        else:
            executor.run_pack(work, report)
        connection.send(("end", None))


def main() -> None:
    """Connect to the address and key that stand on standard input."""
    # Ctrl-C reaches the whole terminal group; only the coordinator decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    address, key = json.loads(sys.stdin.readline())
    # torch loads while the coordinator reads the data: the handshake below waits until it has
    import mmauto.engine.executor  # noqa: F401

    with Client(address, authkey=bytes.fromhex(key)) as connection:
        try:
            serve(connection)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    main()
