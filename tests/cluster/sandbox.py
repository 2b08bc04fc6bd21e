"""A process as its container would run: nobody's uid, no capability, nothing to write to, only its own files."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/dev", "/proc")
"""What a base image has, taken from this machine; and what the kernel shows to every container."""

WITHIN = "setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"


def unavailable() -> str | None:
    """Why there is no sandbox on this machine; None where there is."""
    if os.geteuid() != 0:
        return "only root may mount"
    found = {it: shutil.which(it) for it in ("unshare", "mount", "chroot", "setpriv")}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        return f"no {', '.join(missing)} on PATH"
    mounting = [f"{found['unshare']}", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    tried = subprocess.run(mounting, capture_output=True, check=False)
    return tried.stderr.decode().strip() or None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A root of its own, read-only as a whole, with `mounts` (place inside -> folder here) in it."""

    root: Path
    user: str
    mounts: Mapping[str, Path]

    def command(self, words: Sequence[str], *, environment: Mapping[str, str]) -> list[str]:
        """The command line that runs the words inside; its process becomes theirs."""
        uid, _, gid = self.user.partition(":")
        inside = {**{place: Path(place) for place in SYSTEM}, **self.mounts}
        inside[sys.base_prefix] = Path(sys.base_prefix)
        top = shlex.quote(str(self.root))
        lines = ["set -eu", f"mount -t tmpfs -o mode=0755 none {top}"]
        for place, here in inside.items():
            if here.exists():
                lines += self._mounted(f"{self.root}{place}", here)
        lines.append(f"mount -o remount,ro {top}")
        settings = [f"{name}={value}" for name, value in environment.items()]
        become = WITHIN.format(uid=uid, gid=gid)
        lines.append(f"exec chroot {top} {become} env -i {shlex.join([*settings, *words])}")
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]

    def _mounted(self, place: str, here: Path) -> list[str]:
        at, source = shlex.quote(place), shlex.quote(str(here))
        make = f"mkdir -p {at}" if here.is_dir() else f"mkdir -p $(dirname {at}); touch {at}"
        bind = f"mount --rbind {source} {at}"
        return [make, bind, *([] if here == Path("/dev") else [f"mount -o remount,bind,ro {at}"])]
