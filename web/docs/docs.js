// Shows /openapi.json as a page: one line a route, its body and answer when opened.

/** @typedef {{summary: string, description: string, parameters: object[], requestBody?: any, responses: any}} Operation */

/**
 * @param {string} name
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/**
 * A schema with its references followed, three levels deep, so that it reads like an example.
 * @param {any} schema @param {any} all @param {number} depth
 * @returns {any}
 */
function shape(schema, all, depth = 0) {
  if (schema.$ref) return depth > 3 ? "…" : shape(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.anyOf)
    return shape(
      schema.anyOf.find((/** @type {any} */ one) => one.type !== "null"),
      all,
      depth,
    );
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return [schema.items ? shape(schema.items, all, depth + 1) : "…"];
  if (schema.properties) {
    const optional = new Set(Object.keys(schema.properties));
    for (const name of schema.required ?? []) optional.delete(name);
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [
        optional.has(name) ? `${name}?` : name,
        shape(inner, all, depth + 1),
      ]),
    );
  }
  return schema.type ?? "anything";
}

/** @param {any} content @param {any} all */
function example(content, all) {
  const [type, described] = Object.entries(content)[0];
  const text = type.includes("json") ? JSON.stringify(shape(described.schema, all), null, 2) : type;
  return element("pre", text);
}

/** @param {string} method @param {string} path @param {Operation} operation @param {any} all */
function route(method, path, operation, all) {
  const facts = element("dl", element("dt", "Who"), element("dd", operation.description));
  for (const one of /** @type {any[]} */ (operation.parameters)) {
    facts.append(
      element("dt", `${one.name} (${one.in}${one.required ? "" : ", optional"})`),
      element("dd", String(shape(one.schema, all))),
    );
  }
  const body = operation.requestBody?.content;
  if (body) facts.append(element("dt", "Body"), element("dd", example(body, all)));
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (status === "default") continue;
    facts.append(
      element("dt", `Answer ${status}`),
      element("dd", answer.content ? example(answer.content, all) : answer.description),
    );
  }
  const title = element("summary", element("b", method.toUpperCase()), element("code", path), operation.summary);
  return element("details", title, facts);
}

const answer = await fetch("/openapi.json");
const interfaceDocument = await answer.json();
const all = interfaceDocument.components.schemas;
const page = /** @type {HTMLElement} */ (document.getElementById("routes"));
/** @type {Map<string, HTMLElement>} */
const groups = new Map();
page.replaceChildren();
for (const [path, methods] of Object.entries(interfaceDocument.paths)) {
  const noun = path.startsWith("/api/") ? path.split("/")[2] : "operations";
  if (!groups.has(noun)) {
    groups.set(noun, element("section", element("h2", noun.replaceAll("-", " "))));
    page.append(/** @type {HTMLElement} */ (groups.get(noun)));
  }
  for (const [method, operation] of Object.entries(methods)) groups.get(noun)?.append(route(method, path, operation, all));
}
