/** Shows the raw events of the stream, for developers. */

import { h, set, renderList } from "../elements/base-element.js";

const MAX_EVENTS = 200;

export class EventInspector {
  #count = 0;
  #events = [];
  #paused = false;

  /** @param {any} client */
  constructor(client) {
    this.client = client;
    this.button = h("button", {
      type: "button",
      className: "quiet small",
      textContent: "Wire",
      title: "What is happening on the wire",
      ariaExpanded: "false",
      "aria-controls": "inspector",
      onclick: () => this.toggle(),
    });
    this.list = h("ol", { className: "events", "data-testid": "events", tabIndex: 0, ariaLabel: "Events, newest first" });
    this.facts = h("p", { className: "soft" });
    this.pause = h("button", {
      type: "button",
      className: "small",
      textContent: "Pause",
      ariaPressed: "false",
      onclick: () => {
        this.#paused = !this.#paused;
        set(this.pause, { ariaPressed: String(this.#paused), textContent: this.#paused ? "Go on" : "Pause" });
      },
    });
    this.drawer = h(
      "aside",
      {
        id: "inspector",
        className: "inspector",
        ariaLabel: "What is happening on the wire",
        tabIndex: -1,
        hidden: true,
        onkeydown: (event) => event.key === "Escape" && this.toggle(),
      },
      h(
        "div",
        { className: "between" },
        h("h2", { textContent: "On the wire" }),
        h(
          "div",
          { className: "row" },
          this.pause,
          h("button", {
            type: "button",
            className: "small",
            textContent: "Clear",
            onclick: () => {
              this.#events = [];
              this.list.replaceChildren();
            },
          }),
          h("button", { type: "button", className: "small", textContent: "Close", onclick: () => this.toggle() }),
        ),
      ),
      this.facts,
      this.list,
    );
    client.on("*", (event) => this.#add(event));
    client.subscribe(() => this.#render());
  }

  toggle() {
    set(this.drawer, { hidden: !this.drawer.hidden });
    set(this.button, { ariaExpanded: String(!this.drawer.hidden) });
    document.documentElement.classList.toggle("with-inspector", !this.drawer.hidden);
    if (this.drawer.hidden) this.button.focus();
    else this.drawer.focus();
    this.#render();
  }

  #render() {
    if (this.drawer.hidden) return;
    const { status, heartbeat } = this.client.getSnapshot();
    const beat = heartbeat ? `, last beat ${new Date(heartbeat).toLocaleTimeString("en")}` : "";
    set(this.facts, {
      textContent: `One stream for this browser: ${status}${beat}. ${this.#count} events since this page opened.`,
    });
    // The list is rendered only while it is visible.
    renderList(this.list, this.#events, createEvent, () => {}, "number");
  }

  #add({ name, data, id, late }) {
    if (name === "status" || name === "snapshot") return;
    this.#count += 1;
    if (!this.#paused)
      this.#events = [{ number: this.#count, name, data, id, late, at: new Date() }, ...this.#events].slice(0, MAX_EVENTS);
    this.#render();
  }
}

function createEvent({ name, data, id, late, at }) {
  return h(
    "li",
    {},
    h(
      "details",
      {},
      h(
        "summary",
        {},
        h("time", { textContent: at.toLocaleTimeString("en", { hour12: false }) }),
        h("b", { textContent: name }),
        h("code", { textContent: id.split(".").pop() ?? "" }),
        late ? h("small", { textContent: "late" }) : "",
      ),
      h("pre", { textContent: JSON.stringify(data, null, 2) }),
    ),
  );
}
