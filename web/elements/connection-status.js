/** `<connection-status>`: shows whether updates are live. */

import { HubElement, h, set, styleSheet } from "./base-element.js";

export class ConnectionStatus extends HubElement {
  static styles = styleSheet(`
  :host { display: inline-flex; align-items: center; gap: .5rem; font-size: .8125rem; color: var(--_soft); white-space: nowrap; }
  i { width: .5rem; height: .5rem; border-radius: 50%; background: var(--_soft); flex: none; }
  .live i { background: var(--_accent); box-shadow: 0 0 0 3px color-mix(in srgb, var(--_accent) 20%, transparent); }
  .offline i { background: var(--_bad); }
  .connecting i { background: var(--_spark); animation: pulse 1s infinite alternate; }
  p { display: contents; }`);

  build() {
    this.label = h("span", { part: "label", role: "status", "data-testid": "connection" });
    this.box = h("p", { part: "status" }, h("i", { part: "dot" }), this.label);
    this.root.append(this.box);
  }

  render({ status }) {
    set(this.box, { className: status });
    set(this.label, { textContent: status === "signed-out" ? this.texts.signedOut : this.texts[status] });
  }
}
