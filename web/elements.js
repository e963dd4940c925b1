/** Defines the elements; importing this file is all a page has to do. */

import { NotificationBell } from "./bell.js";
import { NotificationCenter } from "./center.js";
import { ChatPanel } from "./chat.js";
import { NotificationPreferences } from "./preferences.js";
import { ConnectionStatus } from "./status.js";
import { ToastRegion } from "./toasts.js";

export { connect } from "./client.js";

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
