/** Builds web/dist: bundles scripts and styles with esbuild and copies all other files. */
// Usage: node build.mjs [folder]; the folder, web/dist by default, is emptied first.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = dirname(fileURLToPath(import.meta.url));
const DIST = resolve(process.argv[2] ?? join(WEB, "dist"));
/** Public file names and their sources. Code that several of them share goes into chunks in the same folder. */
const SCRIPTS = {
  client: "client/client.js",
  worker: "client/worker.js",
  react: "client/react.js",
  elements: "elements/elements.js",
  app: "app/app.js",
  docs: "docs/docs.js",
  // A fixed name, so that a page that is open during an upgrade still finds the file.
  "texts.de": "elements/texts.de.js",
};
const STYLES = { app: "app/app.css", docs: "docs/docs.css" };
const COPIED = ["docs/docs.html", "client/client.d.ts", "client/react.d.ts"];
/** What the service worker stores beside the scripts of the app. */
const OFFLINE = ["app.css", "mark.svg", "fonts/figtree.woff2", "icons/192.png"];

const OPTIONS = {
  absWorkingDir: WEB,
  outdir: DIST,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
};

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
const { metafile } = await build({ ...OPTIONS, entryPoints: SCRIPTS, splitting: true, chunkNames: "chunk-[hash]", metafile: true });
await build({ ...OPTIONS, entryPoints: STYLES, external: ["fonts/*"] });

const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]));
const app = withImports("app.js");
const files = [...new Set([...OFFLINE, ...app, ...withImports("worker.js")])].map((name) => `/static/${name}`);
await build({ ...OPTIONS, entryPoints: { sw: "service-worker.js" }, format: "iife", define: { OFFLINE_FILES: JSON.stringify(files) } });

const SCRIPT = '  <script type="module" src="/static/app.js"></script>\n';
const preloads = app.slice(1).map((name) => `  <link rel="modulepreload" href="/static/${name}">\n`);
const page = readFileSync(join(WEB, "app/index.html"), "utf8");
if (!page.includes(SCRIPT)) throw new Error(`index.html does not contain: ${SCRIPT}`);
writeFileSync(join(DIST, "index.html"), page.replace(SCRIPT, preloads.join("") + SCRIPT));
for (const path of COPIED) cpSync(join(WEB, path), join(DIST, basename(path)));
cpSync(join(WEB, "static"), DIST, { recursive: true });

/** A script and all scripts that it imports before it runs, directly or not. @param {string} name @returns {string[]} */
function withImports(name, found = [name]) {
  for (const { path, kind } of outputs.get(name).imports) {
    const imported = basename(path);
    if (kind !== "import-statement" || found.includes(imported)) continue;
    found.push(imported);
    withImports(imported, found);
  }
  return found;
}
