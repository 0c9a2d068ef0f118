"""Path map: what is at one path here, and at another where a cluster's workers see it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.problems import UsageError


@dataclass(frozen=True, slots=True)
class PathMap:
    """Folders here, and where workers have them: absolute paths without a slash at their ends."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str], resolve: Callable[[str], str] = str) -> PathMap:
        """The map that texts of the form HERE=THERE amount to; `resolve` makes a path here an absolute one.

        Raises UsageError for what is none, and for one HERE with two THEREs.
        """
        pairs: dict[str, str] = {}
        for text in texts:
            here, there = _split(text)
            here = resolve(here).rstrip("/")
            if pairs.setdefault(here, there) != there:
                raise UsageError(
                    f"--path-map says twice where {here or '/'} is: {pairs[here] or '/'} and {there or '/'}"
                )
        return cls(tuple(pairs.items()))

    def there(self, path: str) -> str:
        """The path of the same file where workers see it. The longest HERE counts, in whole components.

        >>> there = PathMap.of(["/mnt/photos=/srv/p", "/mnt=/data"]).there
        >>> there("/mnt/photos/a.zip"), there("/mnt/photos-2/b.zip"), there("/home/c.zip"), there("s3://bucket/d.zip")
        ('/srv/p/a.zip', '/data/photos-2/b.zip', '/home/c.zip', 's3://bucket/d.zip')
        """
        if not path.startswith("/"):  # a URL is the same everywhere
            return path
        here, there = self._pair(path) or ("", "")
        return f"{there}{path[len(here) :]}" or "/"

    def idle(self, paths: Iterable[str]) -> list[str]:
        """The pairs, as HERE=THERE, that say nothing of any of these absolute paths.

        >>> PathMap.of(["/mnt/photos=/srv/p", "/mnt/fotos=/srv/p"]).idle(["/mnt/photos/a.zip"])
        ['/mnt/fotos=/srv/p']
        """
        used = {self._pair(path) for path in paths if path.startswith("/")}
        return [f"{here or '/'}={there or '/'}" for here, there in self.pairs if (here, there) not in used]

    def _pair(self, path: str) -> tuple[str, str] | None:
        fitting = [pair for pair in self.pairs if path == pair[0] or path.startswith(f"{pair[0]}/")]
        return max(fitting, key=lambda pair: len(pair[0]), default=None)


def _split(text: str) -> tuple[str, str]:
    """HERE and THERE, parted by the one "=" before a "/": there may be others in names."""
    here, *more = text.split("=/")
    if not here or len(more) != 1 or "\0" in text:
        raise UsageError(
            f"a path map is HERE=THERE, a folder here and the absolute path that workers have it at, not {text!a}: "
            "--path-map /mnt/photos=/srv/photos"
        )
    return here, f"/{more[0]}".rstrip("/")
