"""What deploy/ ships, as data: the manifests, the Ingesters, and the files of the image."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same documents, in a tenth of the time where libyaml is there."""


@cache
def documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Every document of a YAML file; read once, and not to be changed."""
    return tuple(yaml.load_all(path.read_text(), Loader=LOADER))


def kustomization(folder: Path = DEPLOY) -> dict[str, Any]:
    """A kustomization as it is."""
    (found,) = documents(folder / "kustomization.yaml")
    return found


def opted_in(folder: Path) -> Path:
    """A copy of deploy/ in `folder` whose kustomization has every line that it offers as a comment."""
    copy = Path(shutil.copytree(DEPLOY, folder / "deploy"))
    file = copy / "kustomization.yaml"
    lines = file.read_text().splitlines(keepends=True)
    offers = ("# - rbac/", "# - examples/", "# components:", "#   - ")
    file.write_text(
        "".join(
            line.replace("# ", "", 1) if line.lstrip().startswith(offers) else line
            for line in lines
        )
    )
    return copy


def resources(folder: Path = DEPLOY) -> list[dict[str, Any]]:
    """The manifests that a kustomization names, components included; without what it generates."""
    said = kustomization(folder)
    found = [one for path in said.get("resources", ()) for one in documents(folder / path)]
    for component in said.get("components", ()):
        found += resources(folder / component)
    return found


def shipped(kind: str, folder: Path = DEPLOY) -> dict[str, Any]:
    """The one manifest of this kind."""
    (found,) = [one for one in resources(folder) if one["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    """The one container of the Deployment."""
    (found,) = shipped("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def rights(documents: Sequence[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """What the ClusterRoles among the documents allow, as (group, resource, verb)."""
    return {
        (group, resource, verb)
        for one in documents
        if one["kind"] == "ClusterRole"
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def image_files(top: Path = TOP) -> Iterator[PurePosixPath]:
    """The files of the product in the image: what the Dockerfile copies and .dockerignore lets in."""
    ignored = Ignored((top / ".dockerignore").read_text())
    for line in (top / "deploy" / "Dockerfile").read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and len(words) == 3 and (top / words[1]).is_dir():
            for file in sorted((top / words[1]).rglob("*")):
                path = PurePosixPath(file.relative_to(top).as_posix())
                if file.is_file() and not ignored.has(path):
                    yield path


@dataclass(frozen=True, slots=True)
class Image:
    """What the last stage of the Dockerfile says of how the image runs."""

    entrypoint: tuple[str, ...]
    environment: dict[str, str]
    user: str


def image() -> Image:
    """The image, as its Dockerfile tells it."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    said = {
        word: rest
        for line in text[text.rindex("\nFROM") :].splitlines()
        for word, _, rest in [line.partition(" ")]
    }
    environment = dict(pair.split("=", 1) for pair in said["ENV"].split())
    return Image(tuple(json.loads(said["ENTRYPOINT"])), environment, said["USER"])


def lay_out(folder: Path) -> Path:
    """A copy of the product's files in `folder`, as they are in the image's /app."""
    for path in image_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / path, folder / path)
    return folder


class Ignored:
    """The part of .dockerignore's language that ours uses: `*`, a path, `**/name`, and `!`; the last word counts."""

    def __init__(self, text: str) -> None:
        self._lines = [line for line in text.split("\n") if line and not line.startswith("#")]

    def has(self, path: PurePosixPath) -> bool:
        """Whether the file is left out."""
        verdict = False
        prefixes = [path, *path.parents[:-1]]
        for line in self._lines:
            pattern = line.removeprefix("!")
            if any(_fits(pattern, prefix) for prefix in prefixes):
                verdict = not line.startswith("!")
        return verdict


def _fits(pattern: str, path: PurePosixPath) -> bool:
    if pattern.startswith("**/"):
        return path.name == pattern.removeprefix("**/")
    return len(path.parts) == 1 if pattern == "*" else path == PurePosixPath(pattern)
