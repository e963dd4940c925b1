"""The client library without a browser: node's own runner on tests/js/unit, and what the files weigh on the wire."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from api.assets import ENTRIES, Assets, bundles
from api.web_files import made

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
# Client, worker and elements as they are sent, with all that they fetch later, but for the words of another language.
MAX_BYTES = 30 * 1024
MAX_LANGUAGE = 2_200


@cache
def sent() -> Assets:
    """The files as they are sent."""
    return made(WEB)


def test_the_headless_client_and_the_hooks_pass_their_own_tests() -> None:
    done = subprocess.run(
        ["node", "--test", *map(str, sorted((ROOT / "tests/js/unit").glob("*.test.js")))],
        cwd=ROOT / "tests/js",
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert re.search(r"^# pass [3-9]\d$", done.stdout, re.MULTILINE), done.stdout[-400:]


def test_client_worker_and_elements_with_all_their_parts_are_no_more_than_thirty_kilobytes() -> None:
    files, sizes, asked = sent().files, dict[str, int](), ["client.js", "worker.js", "elements.js"]
    while asked:
        name = asked.pop()
        if name not in sizes:
            sizes[name] = len(files[name].packed or b"")
            asked += re.findall(r"[\"']\./([\w-]+\.js)[\"']", files[name].plain.decode())
    assert sizes.keys() == {"client.js", "worker.js", "elements.js", "german.js"}
    assert 1_000 < sizes.pop("german.js") <= MAX_LANGUAGE
    assert all(sizes.values())
    assert sum(sizes.values()) <= MAX_BYTES, sizes


@pytest.mark.parametrize("name", [name for name in sent().files if name.endswith(".js")])
def test_every_file_as_it_is_sent_is_javascript(name: str) -> None:
    # Modules that share a name would clash here, where they become one file.
    command = ["node", "--check", "--input-type=module"]
    done = subprocess.run(command, input=sent().files[name].plain, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()


def test_each_module_is_in_one_file_only() -> None:
    texts = {path.name: path.read_text() for path in WEB.glob("*.js")}
    joined = bundles(texts)
    assert set(ENTRIES) <= set(joined)
    for mark in ("class Core extends Store {", "class Stream {", "class HubElement extends", "function requester("):
        assert sum(text.count(mark) for text in joined.values()) == 1, mark


def test_a_module_that_imports_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="web/ has no b"):
        bundles({"client.js": 'import { b } from "./b.js";\n'})
