"""Builds the third-party servers of the benchmark in .bench, each one once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

PEERS_SRC: Final = Path(__file__).with_name("peers_src")
CACHE: Final = Path(__file__).parents[1] / ".bench"
MAX_BUILD_SECONDS: Final = 1_200.0


class Unavailable(Exception):
    """A server cannot be built or started on this machine; the message is the reason."""


def find_program(name: str) -> str:
    """Return the path of a program. Raises Unavailable if it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


def run(*command: str, **env: str) -> str:
    """Run a program and return its output. Raises Unavailable with its last lines if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, env=os.environ | env, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=MAX_BUILD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        last = " ".join(line.strip() for line in done.stdout.strip().split("\n")[-2:])
        raise Unavailable(f"{Path(command[0]).name} failed: {last}")
    return done.stdout.strip()


def build_python() -> tuple[str, str]:
    """Return the Python of a virtual environment with bench/peers_src/fastapi.lock, and the versions in it."""
    lock = PEERS_SRC / "fastapi.lock"
    pins = dict(line.split(" ")[0].split("==") for line in lock.read_text().splitlines() if line[0] != " ")

    def build(folder: Path) -> None:
        run(sys.executable, "-m", "venv", str(folder))
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--require-hashes", "-r", str(lock))

    folder = _cached("fastapi", lock.read_bytes() + sys.version.encode(), build)
    return str(folder / "bin" / "python"), f"{pins['fastapi']} (uvicorn {pins['uvicorn']}, uvloop {pins['uvloop']})"


def build_node(package: str) -> tuple[Path, str]:
    """Return the folder of the Node servers with the packages of package-lock.json, and the version of one package."""
    program = find_program("node")
    npm = find_program("npm")
    files = sorted([*PEERS_SRC.glob("*.mjs"), *PEERS_SRC.glob("package*.json")])

    def build(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        run(npm, "ci", "--prefix", str(folder), "--silent", "--no-audit", "--no-fund", "--ignore-scripts")

    folder = _cached("node", b"".join(file.read_bytes() for file in files), build)
    required = json.loads((PEERS_SRC / "package.json").read_text())["dependencies"][package]
    return folder, f"{required} (Node {run(program, '--version').removeprefix('v')})"


def build_go(module: str, version: str, tags: str = "") -> tuple[str, str]:
    """Build a Go program with `go install`, and return its path and version."""
    program = find_program("go")

    def build(folder: Path) -> None:
        run(program, "install", "-tags", tags, f"{module}@{version}", GOBIN=str(folder))

    folder = _cached("go", f"{module} {version} {tags}".encode(), build)
    (built,) = (file for file in folder.iterdir() if file.name != "built")
    return str(built), f"{version.removeprefix('v')} ({run(program, 'env', 'GOVERSION')})"


def _cached(name: str, inputs: bytes, build: Callable[[Path], None]) -> Path:
    folder = CACHE / f"{name}-{hashlib.sha256(inputs).hexdigest()[:12]}"
    if not (folder / "built").exists():
        sys.stderr.write(f"building {folder.name} …\n")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        (folder / "built").touch()
    return folder
