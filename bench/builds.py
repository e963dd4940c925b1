"""Builds the servers of others that the hub is measured beside, each once, in .bench."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOREIGN: Final = Path(__file__).with_name("peers_src")
CACHE: Final = Path(__file__).parents[1] / ".bench"
BUILD_SECONDS: Final = 1_200.0


class Missing(Exception):
    """Why a server cannot be measured here, in a line."""


def tool(name: str) -> str:
    """The path of a program; `Missing` if it is not here."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"there is no {name} here")
    return path


def told(*command: str, **env: str) -> str:
    """What a program printed on either stream; `Missing` with its last lines if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, env=os.environ | env, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error
    if done.returncode:
        last = " ".join(line.strip() for line in done.stdout.strip().split("\n")[-2:])
        raise Missing(f"{Path(command[0]).name} failed: {last}")
    return done.stdout.strip()


def python() -> tuple[str, str]:
    """The Python of a virtual environment with FastAPI in it, as bench/peers_src/fastapi.lock has it; its version."""
    lock = FOREIGN / "fastapi.lock"
    pins = dict(line.split(" ")[0].split("==") for line in lock.read_text().splitlines() if line[0] != " ")

    def make(folder: Path) -> None:
        told(sys.executable, "-m", "venv", str(folder))
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        told(*pip, "--require-hashes", "-r", str(lock))

    folder = _cached("fastapi", lock.read_bytes() + sys.version.encode(), make)
    return str(folder / "bin" / "python"), f"{pins['fastapi']} (uvicorn {pins['uvicorn']}, uvloop {pins['uvloop']})"


def node(package: str) -> tuple[Path, str]:
    """The folder of the servers in Node, with what bench/peers_src/package-lock.json names; a package's version."""
    program = tool("node")
    npm = tool("npm")
    files = sorted([*FOREIGN.glob("*.mjs"), *FOREIGN.glob("package*.json")])

    def make(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        told(npm, "ci", "--prefix", str(folder), "--silent", "--no-audit", "--no-fund", "--ignore-scripts")

    folder = _cached("node", b"".join(file.read_bytes() for file in files), make)
    wanted = json.loads((FOREIGN / "package.json").read_text())["dependencies"][package]
    return folder, f"{wanted} (Node {told(program, '--version').removeprefix('v')})"


def go(module: str, version: str, tags: str = "") -> tuple[str, str]:
    """A program that `go install` built from a module at this version, with these build tags; its version."""
    program = tool("go")

    def make(folder: Path) -> None:
        told(program, "install", "-tags", tags, f"{module}@{version}", GOBIN=str(folder))

    folder = _cached("go", f"{module} {version} {tags}".encode(), make)
    (built,) = (file for file in folder.iterdir() if file.name != "built")
    return str(built), f"{version.removeprefix('v')} ({told(program, 'env', 'GOVERSION')})"


def _cached(name: str, inputs: bytes, make: Callable[[Path], None]) -> Path:
    folder = CACHE / f"{name}-{hashlib.sha256(inputs).hexdigest()[:12]}"
    if not (folder / "built").exists():
        sys.stderr.write(f"building {folder.name} …\n")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / "built").touch()
    return folder
