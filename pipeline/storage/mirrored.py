"""Mirrored: results at a URL, and the local folder that they are made in or read from.

A run works in a mirror, a results folder like any other; what it has published there is published at the URL by a manifest,
``run.json``, that is written last. All else has names that are unique by content, so that nothing that the old manifest names
is touched before the new one stands:

URL/media/taken_year=2019/part-00000-<crc32>.parquet   URL/files/part-00000-<crc32>.parquet
URL/.by-content/index-<crc32>-<size>.sqlite            and so datapackage and metadata
URL/run.json                                           which files there are, with size and CRC-32
URL/index.sqlite, …                                    copies under their plain names, made when the manifest stands

Who reads by the manifest has the old results or the new. No access rights are set: the bucket's own hold.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipeline.problems import OutputError, RunError, UsageError
from pipeline.progress import Watch, watching_here
from pipeline.record import SCHEMA_VERSION
from pipeline.settings import mirrors_folder
from pipeline.storage import remote
from pipeline.storage.durable import private_folder, whole_file
from pipeline.storage.known import fetch, send
from pipeline.storage.library import Library
from pipeline.storage.lookup import schema_in
from pipeline.storage.manifest import facts_path
from pipeline.storage.parts import Part
from pipeline.storage.published import Published, parse_report
from pipeline.storage.results import PUBLISHED, Results, claimed, emptied, publish
from pipeline.storage.shards import ENDING, shard_path

#: The manifest, and the index, without which nothing can be read.
MANIFEST, INDEX = "run.json", "index.sqlite"
#: Where files whose names are not unique by content have one that is.
BY_CONTENT = ".by-content"
#: Where runs on clusters that share no file system with us keep what they work on, below the URL.
WORK = ".work"
#: What results at a URL consist of; another name above these is a stranger.
OURS = (*PUBLISHED, BY_CONTENT, WORK)
#: Files that are moved at a time.
MOVED_AT_ONCE = 8
#: How often what is replaced while it is read is read anew.
TRIES = 5
#: Bytes from which on it is said how much has come.
WORTH_TELLING = 8 << 20

_PART = re.compile(r"(?:media/taken_year=\d{1,5}|files)/part-\d{5}(?:-[0-9a-f]{8})?\.parquet")
_SINGLE = ("index.sqlite", "datapackage.json", "metadata.yaml")


class Manifest(NamedTuple):
    """A ``run.json`` at a URL: as it stands there, the files that it names, and the tag that it can be replaced by, if any."""

    data: bytes
    files: dict[str, Published]
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Results at a `url`, and the folder `above` all that is kept of them here."""

    url: str
    above: Path

    @classmethod
    def of(cls, url: str, mirrors: str = "") -> Mirror:
        """The mirror of results at a URL, in `mirrors` or where those of this user are. Raises UsageError if there is no such
        place."""
        try:
            named = urlsplit(url := remote.canonical(url)).netloc
        except ValueError as error:
            raise UsageError(f"{url} is no URL: {error}") from error
        if not named:
            raise UsageError(f"{url}// names no bucket: {url}//bucket/results is one for results")
        name = re.sub(r"[^\w.-]+", "-", url.rpartition("/")[2]).strip(".-")[:60] or "results"
        digest = hashlib.blake2b(url.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        return cls(url, mirrors_folder(mirrors) / f"{name}-{digest}")

    @property
    def name(self) -> str:
        """What the results are called."""
        return self.above.name.rpartition("-")[0]

    @property
    def folder(self) -> Path:
        """The results folder of runs."""
        return self.above / "run" / self.name

    @property
    def read_folder(self) -> Path:
        """The results folder of who reads: a run that has ended and could not publish has other results than the URL."""
        return self.above / "read" / self.name

    @property
    def unpublished(self) -> Path:
        """Is there while results of a run are newer than those at the URL; holds the digest of those that they follow on."""
        return self.above / "unpublished"

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return remote.shown_url(self.url)

    # Runs

    def check_output(self) -> None:
        """Raises OutputError or UsageError if results cannot be written at the URL: better at once than after all the work."""
        if urlsplit(self.url).scheme.lower() in remote.READ_ONLY:
            raise UsageError(f"{self.shown} can only be read: choose another place for the results with -o")
        with self._writing("cannot write results to"):
            if strangers := sorted(set(remote.names_in(self.url)) - set(OURS)):
                raise OutputError(f"{self.shown} holds other files ({strangers[0]}, …): give a new or a results folder")
            probe = remote.join(self.url, WORK, "begun")
            remote.write_whole(probe, b"")
            remote.remove(probe)

    def bring(self, results: Results, fresh: bool, watch: Watch) -> Manifest | None:
        """Bring the claimed folder to what is published at the URL, and return that; but for results that an earlier run has
        ended here and not published. Raises OutputError if those at the URL are a newer version's.
        """
        with self._writing("cannot read the results at"):
            for _ in range(TRIES):
                if not fresh:
                    self._take_shards(results)
                found = self._manifest()
                local, basis = _bytes_of(self.folder / MANIFEST), _bytes_of(self.unpublished)
                if found is not None and found.data == local:
                    self.unpublished.unlink(missing_ok=True)
                    return found
                if found is None or not found.files:
                    return found
                self._refuse_newer(found)
                if local is not None and basis == _digest(found):
                    watch.note(
                        f"results of an earlier run could not be published at {self.shown}: they are gone on from"
                    )
                    return found
                if basis is not None:
                    watch.note(f"others have published at {self.shown} since: theirs are gone on from")
                wanted = (MANIFEST, INDEX) if fresh else PUBLISHED
                lost = self._fetch(results, found, wanted, [self.folder, self.read_folder], watch)
                if self._manifest() != found:
                    continue  # replaced meanwhile
                if lost:
                    watch.note(f"{self.shown}: {lost[0]} is not as it was published, and will not be used")
                _exchange(results)
                self.unpublished.unlink(missing_ok=True)
                return found
        raise OutputError(f"{self.shown} is replaced time and again while it is read: try later")

    def new_work(self) -> str:
        """A new place at the URL for what a run works on, where those who do the work share no file system with us."""
        return remote.join(self.url, WORK, token_hex(8))

    def _take_shards(self, results: Results) -> None:
        """Have the shards here that a run has left at the URL."""
        left = [
            name
            for name in remote.files_below(remote.join(self.url, WORK))
            if "/shards/" in name and name.endswith(ENDING)
        ]

        def take(name: str) -> None:
            with suppress(FileNotFoundError):
                fetch_shard(remote.join(self.url, WORK, name.rpartition("/")[0]), results, Path(name).stem)

        list(_at_once(take, left, self.url))

    def name_parts(self, results: Results) -> None:
        """Give the Parquet parts of the new results names that are unique by content."""
        for path in sorted(results.new.rglob("part-*.parquet")):
            path.rename(path.with_stem(f"{path.stem}-{Published.of(path).crc32:08x}"))

    @contextmanager
    def publishing(self, before: Manifest | None, watch: Watch) -> Iterator[None]:
        """Publish at the URL what the block publishes in the folder, if nobody else has published there since `before`."""
        private_folder(self.above)
        with whole_file(self.unpublished) as temporary:
            temporary.write_bytes(_digest(before))
        yield
        kept = "the results are finished, but could not be published at"
        with self._writing(kept, "; the same command publishes them, and reads nothing again"):
            self._publish(before, watch)
        self.unpublished.unlink(missing_ok=True)

    def _publish(self, before: Manifest | None, watch: Watch) -> None:
        data = (self.folder / MANIFEST).read_bytes()
        parsed = parse_report(data)
        assert parsed is not None
        files = parsed[1]
        there = {name: stamp.size for name, stamp in remote.files_below(self.url).items()}
        self._check_unchanged(before)
        objects = {_object_name(name, each): (name, each) for name, each in files.items()}
        missing = [name for name, (_, each) in objects.items() if there.get(name) != each.size]
        size = sum(objects[name][1].size for name in missing)
        watch.step(f"publishing at {self.shown}")
        watch.begin(len(missing), size)

        def upload(name: str) -> int:
            local, each = objects[name]
            remote.upload(self.folder / local, remote.join(self.url, name))
            return each.size

        # The large ones first, so that all end together.
        for moved in _at_once(upload, sorted(missing, key=lambda name: -objects[name][1].size), self.url):
            watch.advance(1, moved, 0)
        if missing:
            there_now = {name: stamp.size for name, stamp in remote.files_below(self.url).items()}
            gone = [name for name, (_, each) in objects.items() if there_now.get(name) != each.size]
        else:
            gone = []
        self._check_unchanged(before)  # first: another run removes what it does not know
        if gone:
            raise OSError(None, f"{gone[0]} is not there after it was written: does somebody else publish there?")
        try:
            if before is None or before.data != data:  # else what it names has been put right, if it was not
                remote.replace_whole(remote.join(self.url, MANIFEST), data, before.tag if before else None)
        except FileExistsError as error:
            raise self._others() from error
        # From here on the results are published. What is left to do, the next run does if this one dies.
        old = [name for name in there if _is_ours(name) and name not in objects]
        for name in _SINGLE:
            if name in files:
                known = _object_name(name, files[name])
                others = any(_plain_name(each) == name for each in old)
                if known in missing or others or there.get(name) != files[name].size:
                    remote.copy(remote.join(self.url, known), remote.join(self.url, name), self.folder / name)
        list(_at_once(lambda name: remote.remove(remote.join(self.url, name)), old, self.url))

    def _check_unchanged(self, before: Manifest | None) -> None:
        now = self._manifest()
        if (now and now.data) != (before and before.data):
            raise self._others()

    def _others(self) -> OutputError:
        return OutputError(
            f"another run has published at {self.shown} meanwhile, this one has not: the same command goes on from there"
        )

    @contextmanager
    def _writing(
        self, what: str, then: str = "; choose another place with -o, or see docs/how-to/object-storage.md"
    ) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{what} {self.shown}: {_reason(error)}{then}") from error

    # Readers

    def fetched(self, wanted: Collection[str], watch: Watch) -> Path:
        """The folder of the results at the URL as they are now, with those of the names PUBLISHED that are `wanted`.

        Raises UsageError if there are none, or they are another version's; RunError if they are not whole.
        """
        names = {*wanted, MANIFEST, INDEX}
        try:
            private_folder(self.above.parent)
            private_folder(self.above)
            with _locked(self.above / "lock"):
                for _ in range(TRIES):
                    found = self._manifest()
                    if found is None:
                        raise UsageError(self._no_results())
                    if _bytes_of(self.read_folder / MANIFEST) == found.data and self._has(found, names):
                        return self.read_folder
                    self._refuse_newer(found, older=True)
                    with claimed(self.read_folder) as results:
                        lost = self._fetch(results, found, names, [self.read_folder, self.folder], watch)
                        if self._manifest() != found:
                            continue  # replaced meanwhile
                        if lost:
                            raise RunError(
                                f"{self.shown}: {lost[0]} is missing or not as it was published: the same scan or merge again, "
                                f"with -o {self.shown}, puts that right"
                            )
                        _exchange(results)
                    return self.read_folder
        except OSError as error:
            raise RunError(f"cannot read the results at {self.shown}: {_reason(error)}") from error
        raise RunError(f"{self.shown} is replaced time and again while it is read: try later")

    def _has(self, found: Manifest, wanted: Collection[str]) -> bool:
        try:
            return all(
                (self.read_folder / name).stat().st_size == each.size
                for name, each in found.files.items()
                if name.partition("/")[0] in wanted
            )
        except OSError:
            return False

    def _no_results(self) -> str:
        below = [name for name in sorted(remote.names_in(self.url)) if name not in OURS][:20]
        below = [name for name in below if _bytes_at(remote.join(self.url, name, MANIFEST)) is not None]
        if below:
            return f"{self.shown} holds results in folders of their own: give one of {', '.join(below)}"
        return f"{self.shown} holds no results of a scan: takeout-index scan INPUT... -o {self.shown} makes some"

    # Both

    def _manifest(self) -> Manifest | None:
        """The manifest at the URL, if there is one. Of one that is not as it was written, the files are not known."""
        try:
            data, tag = remote.read_tagged(remote.join(self.url, MANIFEST))
        except FileNotFoundError:
            return None
        parsed = parse_report(data)
        files = parsed[1] if parsed else {}
        return Manifest(data, {name: each for name, each in files.items() if _is_result(name) and each.size >= 0}, tag)

    def _refuse_newer(self, found: Manifest, older: bool = False) -> None:
        index = found.files.get(INDEX)
        if index is None:
            if older:
                raise RunError(f"{self.shown}: run.json is not as it was written: scan again with -o {self.shown}")
            return
        header = b""
        for name in (_object_name(INDEX, index), INDEX):
            with suppress(FileNotFoundError):
                header = remote.read_range(remote.join(self.url, name), 0, 64)
                break
        version = schema_in(header)
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"{self.shown} was written by a newer version of this program: use that, or give another place"
            )
        if older and 0 < version < SCHEMA_VERSION:
            raise UsageError(f"{self.shown} was written by an older version of this program: scan again")

    def _fetch(
        self, results: Results, found: Manifest, wanted: Collection[str], have: Sequence[Path], watch: Watch
    ) -> list[str]:
        """Make in the folder of new results what the manifest says, of what folders `have` or from the URL.

        Returns the names of the files that are not there as they were published."""
        emptied(results)
        todo = []
        for name, each in found.files.items():
            target = results.new / name
            private_folder(target.parent)
            if any(_linked(folder / name, target, each) for folder in have) or name.partition("/")[0] not in wanted:
                continue
            todo.append(name)
        for name in ("media", "files"):
            private_folder(results.new / name)
        size = sum(found.files[name].size for name in todo)
        _check_room(results.new, size)
        if size > WORTH_TELLING:
            watch.step(f"fetching {size / 1e6:,.0f} MB from {self.shown}")
            watch.begin(len(todo), size)

        def fetch(name: str) -> str | None:
            each = found.files[name]
            for source in dict.fromkeys((_object_name(name, each), name)):
                with suppress(FileNotFoundError), whole_file(results.new / name) as temporary:
                    remote.download(remote.join(self.url, source), temporary)
                    if Published.of(temporary) == each:
                        return None
                    raise FileNotFoundError
            return name

        lost = []
        for name, missing in zip(todo, _at_once(fetch, todo, self.url), strict=True):
            if size > WORTH_TELLING:
                watch.advance(1, found.files[name].size, int(missing is not None))
            lost += [missing] if missing else []
        with whole_file(results.new / MANIFEST) as temporary:
            temporary.write_bytes(found.data)
        return lost


def send_work(results: Results, library: Library, work: str) -> Library:
    """Put the manifest, and what is known of tars, at the place of a run's work.

    Returns the library of those who work there."""
    try:
        for path in (results.manifest, facts_path(results.manifest)):
            remote.upload(path, remote.join(work, path.name))
        if not library.known:
            return library
        known = remote.join(work, "known")
        send(Path(library.known), known, library.tars())
        return replace(library, known=known)
    except OSError as error:
        raise OutputError(f"cannot write the work for others to {remote.shown_url(work)}: {_reason(error)}") from error


def fetch_known(work: str, folder: Path, parts: Sequence[Part]) -> None:
    """Have here what others have found out about archives."""
    try:
        fetch(remote.join(work, "known"), folder, parts)
    except OSError as error:
        raise OutputError(f"cannot read the work of others at {remote.shown_url(work)}: {_reason(error)}") from error


def fetch_shard(shards: str, results: Results, name: str) -> None:
    """Have a shard here that others have written to the place `shards`."""
    with whole_file(shard_path(results.shards, name)) as temporary:
        remote.download(remote.join(shards, f"{name}{ENDING}"), temporary)


def has_results(url: str) -> bool:
    """There are results of a scan at the URL. Raises RunError if that cannot be found out."""
    try:
        return bool(_bytes_at(remote.join(url, MANIFEST)))
    except OSError as error:
        raise RunError(f"cannot read {remote.shown_url(url)}: {_reason(error)}") from error


def fetched(url: str, wanted: Collection[str], watch: Watch | None = None, mirrors: str = "") -> Path:
    """The folder of the results at a URL as they are now; see `Mirror.fetched`.

    Without a `watch`, progress is shown where there is somebody to see it."""
    mirror = Mirror.of(url, mirrors)
    if watch is not None:
        return mirror.fetched(wanted, watch)
    with watching_here(quiet=False) as watch:
        return mirror.fetched(wanted, watch)


def _object_name(name: str, published: Published) -> str:
    """Under which name, below the URL, a file is published: one that no other content has.

    >>> _object_name("index.sqlite", Published(4096, 0xCBF43926))
    '.by-content/index-cbf43926-4096.sqlite'
    """
    if name not in _SINGLE:
        return name
    stem, dot, suffix = name.partition(".")
    return f"{BY_CONTENT}/{stem}-{published.crc32:08x}-{published.size}{dot}{suffix}"


def _plain_name(name: str) -> str:
    """The name of the file that is published under this one.

    >>> _plain_name(".by-content/index-cbf43926-4096.sqlite")
    'index.sqlite'
    """
    folder, _, rest = name.rpartition("/")
    stem, dot, suffix = rest.partition(".")
    return f"{stem.partition('-')[0]}{dot}{suffix}" if folder == BY_CONTENT else name


def _is_result(name: str) -> bool:
    """A manifest of ours may name it: it lies nowhere else."""
    return name in _SINGLE or _PART.fullmatch(name) is not None


def _is_ours(name: str) -> bool:
    """It is of a kind that is removed when no manifest names it any more."""
    if name.startswith(f"{WORK}/"):
        return True
    return _PART.fullmatch(name) is not None or (name.startswith(f"{BY_CONTENT}/") and _plain_name(name) in _SINGLE)


def _exchange(results: Results) -> None:
    """Put the new results in the place of the old ones, of which nothing stays."""
    names = [name for name in PUBLISHED if (results.new / name).exists()]
    publish(results, names)
    for name in {*_SINGLE} - {*names}:
        (results.folder / name).unlink(missing_ok=True)
    emptied(results)


def _linked(source: Path, target: Path, wanted: Published) -> bool:
    """The target is there now, as the source is what is wanted."""
    try:
        if source.stat().st_size != wanted.size or Published.of(source) != wanted:
            return False
        try:
            os.link(source, target)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
        return True
    except OSError:
        return False


def _at_once(function: Callable[[str], Any], names: Sequence[str], url: str) -> Iterator[Any]:
    """What the function returns of each name, in order, several at a time."""
    threads = 1 if urlsplit(url).scheme.lower() in remote.ONE_AT_A_TIME else MOVED_AT_ONCE
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mirror")
    try:
        yield from pool.map(function, names)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise RunError(
            f"{size / 1e6:,.0f} MB are to be fetched, and {free / 1e6:,.0f} MB are free in {folder}: set TAKEOUT_INDEX_MIRRORS "
            "to a folder with more room"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One of those who bring the folder beside to what is at the URL, one after the other."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _bytes_at(url: str) -> bytes | None:
    try:
        return remote.read_whole(url)
    except FileNotFoundError:
        return None


def _digest(manifest: Manifest | None) -> bytes:
    return hashlib.blake2b(manifest.data if manifest else b"", digest_size=16).hexdigest().encode()


def _reason(error: OSError) -> str:
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    if isinstance(error, FileNotFoundError):
        return f"{where}it is not there: is the name of the bucket right?"
    return f"{where}{error.strerror or error}"
