"""Fitness: what a worker of somebody else's cluster needs, and what is said of those that lack something."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline import examined
from pipeline.planning import EXTRACTION_VERSION
from pipeline.storage.remote import EXTRAS, is_url
from pipeline.storage.seen import TOKEN, Root, Token

#: Seconds that a worker may take to look at what is asked.
SECONDS = 30
#: What a worker imports to work, and packages of which it needs the same as we have: ours, and those whose objects travel.
IMPORTED, OURS, TRAVELLING = "pipeline.graph", "takeout-index", ("dask", "distributed")
#: The module that reads URLs of each extra.
MODULES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "paramiko", "http": "aiohttp"}
#: Workers that are named one by one, hosts that are named, and roots of one worker that are.
WORKERS_SHOWN, HOSTS_SHOWN, ROOTS_SHOWN = 4, 8, 3


class BySource:
    """`examined.examine`, which travels as the text of its module: who gets it needs nothing of ours, nor our Python."""

    def __reduce__(self) -> tuple[Any, ...]:
        space = {"__name__": "takeout_index_examined"}
        return eval, ("exec(source, space) or space['examine']", {"source": _source(), "space": space})


def _source() -> str:
    return inspect.getsource(examined)


@dataclass(frozen=True, slots=True)
class Needs:
    """What every worker has to have: the parts of the library, the work folder, of which a `token` tells, and modules."""

    roots: tuple[Root, ...] = ()
    token: Token | None = None
    seconds: int = SECONDS

    def asked(self) -> dict[str, Any]:
        """What `examined.examine` is to look at."""
        token = self.token
        return {
            "seconds": self.seconds,
            "versions": [OURS, *TRAVELLING],
            "import": IMPORTED,
            "modules": [MODULES[extra] for extra in self._extras()],
            "roots": [
                asdict(root) | {"path": root.there, "url": is_url(root.there), "samples": root.samples}
                for root in self.roots
            ],
            "work": token
            and {"folder": token.there, "url": is_url(token.there), "name": TOKEN, "content": token.content},
        }

    def _extras(self) -> list[str]:
        places = [root.there for root in self.roots] + ([self.token.there] if self.token else [])
        schemes = {place.partition("://")[0].lower() for place in places if is_url(place)}
        return sorted({EXTRAS[scheme] for scheme in schemes if scheme in EXTRAS})

    def reasons(self, found: Mapping[str, Any]) -> list[str]:
        """Why a worker that has found this cannot work, each with what to do; empty if it can."""
        if "error" in found:
            return [f"cannot be looked at: {found['error']}"]
        return [*self._of_packages(found), *self._of_roots(found), *self._of_work(found)]

    def _of_packages(self, found: Mapping[str, Any]) -> Iterable[str]:
        python, mine = ".".join(map(str, found["python"])), f"{sys.version_info[0]}.{sys.version_info[1]}"
        program = shlex.quote(found["executable"])
        if python != mine:
            yield f"runs Python {python}, and this is {mine}: run it by the same"
        theirs, ours = found["versions"][OURS], _version(OURS)
        install = f"{program} -m pip install {OURS}" + (f"=={ours}" if ours else "")
        if found["import"].startswith("No module named 'pipeline'"):
            yield f"{OURS} is not installed there: {install}"
            return
        if theirs != ours:
            yield f"has {OURS} {theirs or 'of no version'}, and this is {ours or 'of no version'}: {install}"
        elif found["import"]:
            yield f"{OURS} cannot be used there ({found['import']}): {install}"
        elif found["extraction"] != EXTRACTION_VERSION:
            yield f"has another {OURS} of the same version: install the same there, and start it again"
        for name in TRAVELLING:
            theirs, ours = found["versions"][name], _version(name)
            if (theirs or "").split(".")[:2] != (ours or "").split(".")[:2]:
                yield f"has {name} {theirs}, and this is {ours}: {program} -m pip install {name}=={ours}"
        for extra in self._extras():
            if MODULES[extra] in found["lacking"]:
                yield f"has no {MODULES[extra]} for {extra}:// addresses: {program} -m pip install '{OURS}[{extra}]'"

    def _of_roots(self, found: Mapping[str, Any]) -> Iterable[str]:
        wrong = [(root, reason) for root in self.roots if (reason := found["roots"].get(root.there))]
        for root, reason in wrong[:ROOTS_SHOWN]:
            if is_url(root.there):
                yield f"cannot read {root.shown}: {reason}"
            else:
                advice = f"mount it there, or say where it is: --path-map {root.here}=THERE"
                yield f"does not see the same {root.there} as this machine{_mapped(root.here, root.there)}: {reason}; {advice}"
        if len(wrong) > ROOTS_SHOWN:
            yield f"and so with {len(wrong) - ROOTS_SHOWN:,} more parts"

    def _of_work(self, found: Mapping[str, Any]) -> Iterable[str]:
        if self.token is None or not (reason := found["work"] or self._unanswered(found["token"])):
            return
        here, there = self.token.here, self.token.there
        yield (
            f"does not share the work folder {there} with this machine{_mapped(here, there)}: {reason} (it is user "
            f"{found['user']} there); choose results with -o in a folder that all can write, or say where it is: --path-map "
            f"{here}=THERE"
        )

    def _unanswered(self, name: str) -> str:
        """Why what a worker says that it has written is not here; empty if it is, or if it was not asked to."""
        if not name or (name.isascii() and "/" not in name and self.token and self.token.is_answered(name)):
            return ""
        return "what is written there cannot be read here"


def _mapped(here: str, there: str) -> str:
    return "" if here == there else f" ({here} here)"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def told(unfit: Mapping[str, Iterable[str]]) -> list[str]:
    """What is said of workers, each known by its address, that lack something: a line for each reason, with all who share it.

    >>> told({"tcp://10.0.0.2:41": ["has no dask"], "tls://10.0.0.3:42": ["has no dask"]})
    ['10.0.0.2:41, 10.0.0.3:42: has no dask']
    """
    alike: dict[str, list[str]] = {}
    for address, reasons in unfit.items():
        for reason in reasons:
            alike.setdefault(reason, []).append(address.rpartition("://")[2])
    return [f"{_who(addresses)}: {reason}" for reason, addresses in alike.items()]


def _who(addresses: list[str]) -> str:
    """Some workers: one by one, or by their hosts.

    >>> _who([f"10.0.0.{number % 2}:{number}" for number in range(5)])
    '10.0.0.0 (3 workers), 10.0.0.1 (2 workers)'
    """
    if len(addresses) <= WORKERS_SHOWN:
        return ", ".join(addresses)
    hosts = Counter(address.rpartition(":")[0] for address in addresses)
    shown = [
        f"{host} ({count:,} worker{'s' if count > 1 else ''})" for host, count in list(hosts.items())[:HOSTS_SHOWN]
    ]
    if len(hosts) > HOSTS_SHOWN:
        shown.append(f"and {len(hosts) - HOSTS_SHOWN:,} more hosts")
    return ", ".join(shown)
