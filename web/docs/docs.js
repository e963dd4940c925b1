/** Renders /openapi.json: one line per route, with its request and responses when opened. */

/** @typedef {{summary: string, description: string, parameters: object[], requestBody?: any, responses: any}} Operation */

/**
 * @param {string} name
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
function element(name, ...children) {
  const created = document.createElement(name);
  created.append(...children);
  return created;
}

/**
 * Return an example of a schema, with references resolved three levels deep.
 * @param {any} schema @param {any} all @param {number} depth
 * @returns {any}
 */
function exampleOf(schema, all, depth = 0) {
  if (schema.$ref) return depth > 3 ? "…" : exampleOf(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.anyOf)
    return exampleOf(
      schema.anyOf.find((/** @type {any} */ each) => each.type !== "null"),
      all,
      depth,
    );
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return [schema.items ? exampleOf(schema.items, all, depth + 1) : "…"];
  if (schema.properties) {
    const optional = new Set(Object.keys(schema.properties));
    for (const name of schema.required ?? []) optional.delete(name);
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [
        optional.has(name) ? `${name}?` : name,
        exampleOf(inner, all, depth + 1),
      ]),
    );
  }
  return schema.type ?? "anything";
}

/** @param {any} content @param {any} all */
function example(content, all) {
  const [type, described] = Object.entries(content)[0];
  const text = type.includes("json") ? JSON.stringify(exampleOf(described.schema, all), null, 2) : type;
  return element("pre", text);
}

/** @param {string} method @param {string} path @param {Operation} operation @param {any} all */
function route(method, path, operation, all) {
  const facts = element("dl", element("dt", "Who"), element("dd", operation.description));
  for (const parameter of /** @type {any[]} */ (operation.parameters)) {
    facts.append(
      element("dt", `${parameter.name} (${parameter.in}${parameter.required ? "" : ", optional"})`),
      element("dd", String(exampleOf(parameter.schema, all))),
    );
  }
  const body = operation.requestBody?.content;
  if (body) facts.append(element("dt", "Body"), element("dd", example(body, all)));
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status === "default") continue;
    facts.append(
      element("dt", `Answer ${status}`),
      element("dd", response.content ? example(response.content, all) : response.description),
    );
  }
  const title = element("summary", element("b", method.toUpperCase()), element("code", path), operation.summary);
  return element("details", title, facts);
}

const response = await fetch("/openapi.json");
const apiDocument = await response.json();
const all = apiDocument.components.schemas;
const page = /** @type {HTMLElement} */ (document.getElementById("routes"));
/** @type {Map<string, HTMLElement>} */
const groups = new Map();
page.replaceChildren();
for (const [path, methods] of Object.entries(apiDocument.paths)) {
  const noun = path.startsWith("/api/") ? path.split("/")[2] : "operations";
  if (!groups.has(noun)) {
    groups.set(noun, element("section", element("h2", noun.replaceAll("-", " "))));
    page.append(/** @type {HTMLElement} */ (groups.get(noun)));
  }
  for (const [method, operation] of Object.entries(methods)) groups.get(noun)?.append(route(method, path, operation, all));
}
