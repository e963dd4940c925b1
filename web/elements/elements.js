/** Registers all elements. */

import { ConnectionStatus } from "./connection-status.js";
import { NotificationPreferences } from "./notification-preferences.js";
import { ToastRegion } from "./toast-region.js";
import { NotificationCenter } from "./notification-center.js";
import { NotificationBell } from "./notification-bell.js";
import { ChatPanel } from "./chat-panel.js";

export { connect } from "../client/client.js";

for (const [name, element] of Object.entries({
  "notification-bell": NotificationBell,
  "notification-center": NotificationCenter,
  "toast-region": ToastRegion,
  "connection-status": ConnectionStatus,
  "chat-panel": ChatPanel,
  "notification-preferences": NotificationPreferences,
})) {
  if (!customElements.get(name)) customElements.define(name, element);
}
