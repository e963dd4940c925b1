"""The client library without a browser: node's own runner on tests/js/unit, and what the files weigh on the wire."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from api.assets import ENTRIES, bundles, read
from api.compact import compact

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
# Client, worker and elements together, gzipped; and what they fetch when a part of them is opened for the first time.
MAX_BYTES = 30 * 1024
MAX_LATER_BYTES = 4 * 1024
# What a careless hand would break: spaces in texts, templates in templates, slashes, signs, words that need a space.
TRICKY = r"""
const words = (n, who) => `${n === 1 ? "one  {thing}" : `${n}  things, ${`by  ${who ?? { name: "}" }.name}`}`}  / \`  `;
const slashes = "a // b /* c */".split(/[/"`]  \/ +/g); // the rest
const half = words.length / 2 / slashes.length, signs = half + +half - -half + ++slashes.index;
/** @param {any} each */
export async function* all(each) {
  for await (const one of [each]) yield one in each ? /^  "x" {2,}$/i.test(one) : typeof one === 'it\'s  "so"';
  return [ , ...new Set([each, ], ), ];
}
class A { static #b = 1; get c() { return A.#b ; } }
"""
# What is not compared: names that are sent short, spaces, brackets.
NAMES = r"#\w+|\$[a-zA-Z]+|\b[A-Z][A-Z_]+\b|[\s()]"
PRINT_BOTH = """
import { transformSync } from "esbuild";
import { readFileSync } from "node:fs";
const print = (text) => transformSync(text, { minifyWhitespace: true }).code;
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map((pair) => pair.map(print))));
"""


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


def test_client_worker_and_elements_together_are_no_more_than_thirty_kilobytes() -> None:
    files = read(WEB).files
    sizes = {name: len(files[name].packed or b"") for name in ("client.js", "worker.js", "elements.js")}
    assert all(sizes.values())
    assert sum(sizes.values()) <= MAX_BYTES, sizes
    later = {name: len(files[name].packed or b"") for name in ("push.js", "group.js", "why.js", "more-texts.js")}
    assert sum(later.values()) <= MAX_LATER_BYTES, later


@pytest.mark.parametrize("name", [name for name in read(WEB).files if name.endswith(".js")])
def test_every_file_as_it_is_sent_is_javascript(name: str) -> None:
    # Modules that share a name would clash here, where they become one file.
    command = ["node", "--check", "--input-type=module"]
    done = subprocess.run(command, input=read(WEB).files[name].plain, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_sent_says_the_same_as_what_is_written() -> None:
    texts = {path.name: path.read_text() for path in WEB.glob("*.js")}
    sent = re.sub(NAMES, "", "".join(bundles(texts).values()))
    for name, text in texts.items():
        for line in re.sub(r'^(import|export) \{[^}]*\} from "[^"]+";\n', "", text, flags=re.MULTILINE).splitlines():
            code = re.sub(rf"/\*.*?\*/|{NAMES}", "", line.strip().rstrip(",;"))
            if code and not code.startswith(("//", "/*", "*", "import", "export{")) and ":" not in code:
                assert code in sent, f"{name}: {code}"


def test_a_compact_module_is_the_same_program() -> None:
    # Both ways through another tool, which prints what it has understood.
    texts = [path.read_text() for path in sorted(WEB.glob("*.js"))] + [TRICKY]
    pairs = [[text, compact(text)] for text in texts]
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PRINT_BOTH],
        cwd=ROOT / "tests/js",
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    for (written, _), (one, other) in zip(pairs, json.loads(done.stdout), strict=True):
        assert one == other, written.partition("\n")[0]
    assert len(compact(TRICKY)) < len(TRICKY) * 0.85


def test_names_that_nobody_else_sees_are_short_and_others_and_colours_are_left_alone() -> None:
    text = """const FIRST_WAIT = [1];
export const EVENTS = [];
class A {
  #count = 0;
  async #load() {
    this.#count += 1;
    return this.#load?.(`#count FIRST_WAIT ${FIRST_WAIT ? EVENTS : this.FIRST_WAIT}`, "#c0ffee FIRST_WAIT");
  }
}
const style = [`a { color: #abc; }`, ...FIRST_WAIT];
"""
    sent = bundles({"client.js": text})["client.js"]
    assert sent == (
        "const $a=[1];export const EVENTS=[];class A{#b=0;async #c(){this.#b+=1;"
        'return this.#c?.(`#count FIRST_WAIT ${$a?EVENTS:this.FIRST_WAIT}`,"#c0ffee FIRST_WAIT")}}'
        "const style=[`a { color: #abc; }`,...$a];"
    )


def test_each_module_is_in_one_file_only() -> None:
    texts = {path.name: path.read_text() for path in WEB.glob("*.js")}
    sent = bundles(texts)
    assert set(ENTRIES) <= set(sent)
    for mark in ("class Core extends Store{", "class Stream{", "class HubElement extends", "function requester("):
        assert sum(text.count(mark) for text in sent.values()) == 1, mark


def test_a_module_that_imports_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="web/ has no b"):
        bundles({"client.js": 'import { b } from "./b.js";\n'})
