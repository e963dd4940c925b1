"""What is done to a module before it is sent, looked at with another tool: it is the same program afterwards."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from api.assets import bundles
from api.compact import compact
from api.short_names import shortened
from api.web_files import made

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
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
# What would be mistaken for something else: globals, properties and texts of the same name, one name in many scopes.
NAMES = r"""
import { listed } from "./b.js";
const FIRST = [1], colour = "#c0ffee FIRST colour";
export const EVENTS = [];
function count({ total, size: [first, ...others], depth = FIRST }, status) {
  const found = { total, colour, status: others.status ?? document.title, first() { return first; } };
  for (const [status, { total = depth }] of others) if (total) found.name = status + name + `colour ${colour} #count`;
  try { listed(count); } catch { return (status) => status?.total; }
  return async (open) => { await open(found, total); return window.open(depth, this.first); };
}
export class Colour extends EventTarget {
  #count = 0; colour = colour; static count(colour) { return new Colour(colour).#load?.(count); }
  async #load() { this.#count += 1; return (EVENTS.colour = { EVENTS, count, "#count": FIRST }); }
}
"""
PRINT = """
import { transformSync } from "esbuild";
import { readFileSync } from "node:fs";
const { texts, options } = JSON.parse(readFileSync(0));
const all = { minifyWhitespace: true, supported: { "template-literal": false }, format: "esm", ...options };
console.log(JSON.stringify(texts.map((text) => transformSync(text, all).code)));
"""
TOKEN = re.compile(
    r"""(?<=[(,=:!&|?])/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/"""
    r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\#?[A-Za-z_$][\w$]*|\S"""
)
NAME = re.compile(r"#?[A-Za-z_$]")


def printed(texts: list[str], **options: bool) -> list[str]:
    """Each as esbuild prints what it has understood of it."""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PRINT],
        cwd=ROOT / "tests/js",
        input=json.dumps({"texts": texts, "options": options}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: list[str] = json.loads(done.stdout)
    return found


def side_by_side(one: str, other: str) -> Iterator[tuple[str, str]]:
    """The parts of two programs in pairs; `{ a }` and `{ a: b }` are the same but for the name."""
    a, b = TOKEN.findall(one), TOKEN.findall(other)
    j = 0
    for i, part in enumerate(a):
        if part == b[j] and b[j + 1 : j + 2] == [":"] and a[i + 1 : i + 2] != [":"]:
            j += 2
        yield part, b[j]
        j += 1
    assert j == len(b)


def check_the_same(written: list[str], sent: list[str]) -> None:
    """Nothing differs but names, each name becomes one other, and what no file may rename is where it was."""
    for one, other in zip(printed(written), printed(sent), strict=True):
        names = dict[str, str]()
        for a, b in side_by_side(one, other):
            if a != b:
                assert NAME.match(a), (a, b)
                assert NAME.match(b), (a, b)
                assert names.setdefault(a, b) == b, (a, b, names[a])
        assert len(set(names.values())) == len(names)
    # esbuild gives short names to all that is declared: what is longer is global, exported, or a property.
    for one, other in zip(printed(written, minifyIdentifiers=True), printed(sent, minifyIdentifiers=True), strict=True):
        long, still = ([part for part in TOKEN.findall(text) if len(part) > 3] for text in (one, other))
        assert long == still


def test_what_is_sent_is_the_same_program_as_what_is_written_but_for_names() -> None:
    written = bundles({path.name: path.read_text() for path in WEB.glob("*.js")})
    sent = made(WEB)
    written["sw.js"] = (
        written["sw.js"].replace("{release}", sent.release).replace('"/static/', f'"/static/{sent.release}/')
    )
    check_the_same([*written.values()], [sent.files[name].plain.decode() for name in written])


def test_a_compact_module_is_the_same_program() -> None:
    texts = [path.read_text() for path in sorted(WEB.glob("*.js"))] + [TRICKY]
    for text, one, other in zip(texts, printed(texts), printed([compact(text) for text in texts]), strict=True):
        assert one == other, text.partition("\n")[0]
    assert len(compact(TRICKY)) < len(TRICKY) * 0.85


def test_names_that_others_see_and_texts_stay_as_they_are() -> None:
    check_the_same([NAMES, TRICKY], [shortened(NAMES), shortened(TRICKY)])
    assert len(shortened(NAMES)) < len(NAMES) * 0.85


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_where_names_cannot_be_shortened_the_log_says_so_and_files_are_sent_with_long_ones(
    python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with structlog.testing.capture_logs() as logs:
        files = made(WEB).files
    assert [entry["event"] for entry in logs] == ["names stay long"]
    written = bundles({path.name: path.read_text() for path in WEB.glob("*.js")})
    assert files["client.js"].plain.decode() == compact(written["client.js"])


def test_what_is_no_javascript_is_refused() -> None:
    with pytest.raises(ValueError, match="no JavaScript"):
        shortened("const = 1;")
