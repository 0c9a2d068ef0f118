"""Case number N of a seed: a hostile file, the same whenever it is asked for."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from tests.fuzz.documents import mutated_document
from tests.fuzz.mutations import mutated, resummed
from tests.fuzz.seeds import Seed, seeds_in
from tests.fuzz.structure import Field, fields_of

#: Groups, and how many in a hundred cases are of each.
SHARES = {"media": 60, "sidecars": 20, "archives": 20}


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile file."""

    number: int
    group: str
    suffix: str
    data: bytes
    thorough: bool  # with all tags, and members of archives read whole

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.number}{self.suffix}"


class Cases:
    """All cases of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        """`folder` is where `make_seeds` has left the seeds."""
        self._seed = seed
        self._seeds = {group: seeds_in(folder, group) for group in SHARES}
        self._whole = [(group, seed) for group, seeds in self._seeds.items() for seed in seeds]

    def __getitem__(self, number: int) -> Case:
        """The first cases are the seeds as they are."""
        if number < len(self._whole):
            group, seed = self._whole[number]
            return Case(number, group, Path(seed.name).suffix, seed.data, True)
        random = Random(f"{self._seed}:{number}")
        (group,) = random.choices(list(SHARES), list(SHARES.values()))
        seed, other = random.choice(self._seeds[group]), random.choice(self._seeds[group])
        suffix = Path(seed.name).suffix
        if group == "sidecars" and random.random() < 0.8:
            data = mutated_document(seed.data, random)
        elif seed.data[:2] == b"\x1f\x8b" and random.random() < 0.6:
            data = _packed_again(seed, other, random)
        else:
            data = mutated(seed.data, other.data, _fields(seed), random)
            if suffix == ".tar" and random.random() < 0.8:
                data = resummed(data)
        return Case(number, group, suffix, data, random.random() < 0.5)


def _packed_again(seed: Seed, other: Seed, random: Random) -> bytes:
    """A tgz whose faults are in the tar."""
    try:
        tar = gzip.decompress(seed.data)
    except (OSError, EOFError):
        return seed.data
    inside = Seed(f"{seed.name}.tar", tar)
    return gzip.compress(resummed(mutated(tar, other.data, _fields(inside), random)), 1, mtime=0)


@lru_cache(maxsize=2000)
def _fields(seed: Seed) -> list[Field]:
    return fields_of(seed.data)
