"""Scan a library with a few machines that this one reaches by ssh: a NAS and its helpers.

The driver runs here, the workers there, and the scheduler beside those of the first host. Every machine has this program in an
environment of the same path (or --python), and sees library and results under the same paths. It needs `pip install asyncssh`.

    python recipes/ssh.py /photos/Takeout -o /photos/index --host helper1 --host helper2 --workers 4

Every host is to be known to ssh (~/.ssh/known_hosts), and to let your key in. What the machines say to each other is encrypted,
with a certificate of this run, which lies beside the results as long as it lasts, for your eyes alone. Interrupted or killed,
the same command goes on from the shards that are done.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="parts of one library")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--host", action="append", required=True, dest="hosts", help="a helper; once for each")
    parser.add_argument("--workers", type=int, default=2, help="worker processes on each helper; default: 2")
    parser.add_argument("--python", default=sys.executable, help="python on the helpers; default: the path of this one")
    parser.add_argument("--user", help="user on the helpers; default: as ssh has it")
    parser.add_argument("--port", type=int, help="port of ssh; default: as ssh has it")
    parser.add_argument("--key", help="private key; default: as ssh has it")
    parser.add_argument("--known-hosts", help="file of hosts that are known; default: as ssh has it")
    parser.add_argument("--threads", type=int, default=8, help="I/O threads within a task; default: 8")
    parser.add_argument("--shard-files", type=int, default=500, help="photos and videos of a task; default: 500")
    return parser


def connecting(given: argparse.Namespace) -> dict[str, Any]:
    """How asyncssh is to connect: only what was asked for, or it would not look where ssh looks."""
    options = {
        "username": given.user,
        "port": given.port,
        "client_keys": given.key,
        "known_hosts": given.known_hosts,
    }
    return {name: value for name, value in options.items() if value is not None}


def certificate(folder: Path) -> dict[str, str]:
    """A certificate of this run, which is its own authority, as files for your eyes alone. Returns their paths."""
    from distributed.security import Security

    made = Security.temporary()
    paths = {"ca-file": folder / "ca.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}
    texts = {"ca-file": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, path in paths.items():
        path.touch(mode=0o600)
        path.write_text(str(texts[name]), "ascii")
    return {name: str(path) for name, path in paths.items()}


def encrypted(files: dict[str, str]) -> dict[str, Any]:
    """Dask's settings for a cluster that talks TLS with the certificate of these files, and nothing else."""
    role = {"cert": files["cert"], "key": files["key"]}
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": files["ca-file"],
        **{f"distributed.comm.tls.{name}": role for name in ("client", "scheduler", "worker")},
    }


def main() -> None:
    """Start the workers, scan, and end them."""
    given = arguments().parse_args()
    import dask
    from distributed import Client, SSHCluster
    from distributed.security import Security

    from pipeline import Settings, scan

    logging.getLogger("distributed.deploy.ssh").setLevel(logging.WARNING)  # or every line of every helper is shown
    beside = Path(given.output).expanduser().absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".takeout-index-tls-", dir=beside) as folder:
        # What is set here is set there too: the processes on the hosts begin with the settings of who starts them.
        dask.config.set(encrypted(certificate(Path(folder))))
        closed = {"protocol": "tls://", "dashboard_address": "127.0.0.1:0"}  # the dashboard has no TLS
        with (
            SSHCluster(
                [given.hosts[0], *given.hosts],
                connect_options=connecting(given),
                remote_python=given.python,
                scheduler_options={**closed},
                worker_options={**closed, "nthreads": 1, "n_workers": given.workers},
                security=Security(),
            ) as cluster,
            Client(cluster) as client,
        ):
            client.wait_for_workers(len(given.hosts) * given.workers, timeout=60)
            print(f"{len(client.nthreads())} workers at work", file=sys.stderr)
            settings = Settings(threads=given.threads, processes=1, shard_files=given.shard_files)
            print(scan(given.inputs, given.output, settings))


if __name__ == "__main__":
    main()
