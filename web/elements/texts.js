/** Texts of the elements, English; other languages are loaded when a page needs them. */

const EN = {
  notifications: "Notifications",
  bell: (unread, unseen) => `Notifications, ${unread} unread${unseen ? `, ${unseen} new` : ""}`,
  all: "All",
  unread: "Unread",
  jobs: "Jobs",
  messages: "Messages",
  archived: "Archived",
  markAllRead: "Mark all read",
  markRead: "Mark as read",
  markUnread: "Mark as unread",
  archive: "Archive",
  unarchive: "Move back",
  close: "Close",
  dismiss: "Dismiss",
  undo: "Undo",
  retry: "Try again",
  justNow: "Just now",
  did: {
    read: (n) => (n === 1 ? "Marked as read." : "All marked as read."),
    archive: (n) => (n === 1 ? "Archived." : `${n} archived.`),
    unarchive: () => "Moved back.",
  },
  empty: "Nothing yet",
  emptyHint: "What concerns you will appear here by itself.",
  emptyUnread: "All caught up",
  emptyUnreadHint: "You have read everything.",
  loading: "Loading…",
  more: "Loading more…",
  end: "That is all.",
  offlineSince: (time) => `Offline. This is what was known at ${time}.`,
  live: "Live updates active",
  connecting: "Connecting…",
  offline: "Offline",
  signedOut: "Signed out",
  away: "While you were away",
  missed: (n) => (n === 1 ? "One thing happened." : `${n} things happened.`),
  newJob: "New Job Posted!",
  announcement: "Announcement",
  urgent: "Urgent",
  high: "Important",
  why: "Why did I get this?",
  keys: "j and k move, Enter opens, e archives, u marks read or unread",
  conversations: "Conversations",
  send: "Send",
  write: "Write a message…",
  attach: "Attach a file",
  back: "Back",
  typing: (names) => (names.length === 1 ? `${names[0]} is typing…` : `${names.length} people are typing…`),
  read: "Read",
  delivered: "Delivered",
  sent: "Sent",
  waiting: "Waiting to be sent",
  failed: "Not sent",
  discard: "Discard",
  deleted: "This message was deleted.",
  edited: "edited",
  older: "Earlier",
  noConversations: "No conversations yet",
  noConversationsHint: "Write to somebody from a job or their profile.",
  pick: "Pick a conversation",
  mute: "Mute",
  unmute: "Unmute",
  muted: "muted",
  edit: "Edit",
  delete: "Delete",
  sure: (act) => `${act}: sure?`,
  editing: "You are changing your message.",
  chatKeys: "Arrow up changes your last message",
  cancel: "Cancel",
  newGroup: "New group",
  members: "Members",
  online: "Online",
  idle: "Away",
  you: "You",
  preferences: "What you are told, and how",
  inApp: "In the app",
  push: "Push",
  email: "E-mail",
  categories: {
    job: "Jobs",
    bid: "Bids",
    hire: "Hires",
    message: "Messages",
    comment: "Comments",
    payment: "Payments",
    system: "The hub itself",
  },
  locked: "Hires and payments always appear: it is your work and your money.",
  quiet: "Quiet hours",
  quietHint: "Push and e-mail wait until they end; urgent ones pass.",
  from: "From",
  to: "To",
  timeZone: "Time zone",
  saved: "Saved.",
  pushOn: "Turn on for this device",
  pushOff: "Turn off for this device",
  pushTest: "Send a test",
  pushDenied: "Your browser blocks notifications here. Allow them beside the address.",
  pushNone: "This browser has no push.",
  pushIos: "On iPhone and iPad: add this to the Home Screen first.",
  pushTested: "Sent. It should appear in a moment.",
  alerts: "Turn on alerts for hires and messages?",
  turnOn: "Turn on",
  notNow: "Not now",
  outcomes: {
    shown: "shown",
    hidden: "off in your settings",
    sent: "sent",
    waiting: "not sent yet",
    skipped: "not sent",
    failed: "failed",
    off: "off in your settings",
    nowhere: "not set up",
    unknown: "not known",
  },
  waitsUntil: (time) => `waits until ${time}`,
  outcomeReasons: {
    looking: "you were looking",
    seen: "you had seen it",
    "quiet hours": "for your quiet hours",
    pushed: "push had reached you",
    expired: "it was too late",
  },
  groupName: "Name of the group",
  groupHint: "Groups are made of people you have talked to.",
  add: "Add people",
  history: "They see what was said before",
  remove: "Remove",
  leave: "Leave the group",
  create: "Create the group",
  save: "Save",
  notificationTexts: {},
};

export const LANGUAGES = { en: EN };
const LOADERS = { de: () => import("./texts.de.js").then(({ DE }) => (LANGUAGES.de = DE)) };

/** The language of an element: the `lang` around it, or the browser's. @param {Element} element @returns {string} */
export function languageOf(element) {
  const tag = element.closest("[lang]")?.getAttribute("lang") || navigator.language || "en";
  const [language] = tag.toLowerCase().split("-");
  return language in LOADERS ? language : "en";
}

/** The texts of a language, or a promise of them while they are being loaded. @param {string} language @returns {any} */
export const loadTexts = (language) => LANGUAGES[language] ?? LOADERS[language]().catch(() => EN);

/** Title and body of a notification in a language; the default is the hub's text. @param {any} item @param {string} language */
export function notificationText(item, language) {
  const translated = item.data?.title !== undefined && LANGUAGES[language].notificationTexts[item.type]?.(item.data);
  return { title: translated?.[0] ?? item.title, body: translated ? (translated[1] ?? "") : item.body };
}

/** "14:05", in the language. @param {string | number} time @param {string} language */
export const timeOfDay = (time, language) =>
  new Date(time).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });

/** "5 min ago", in the language. @param {string} time RFC 3339 @param {string} language @param {number} [now] */
export function ago(time, language, now = Date.now()) {
  const minutes = Math.floor((now - Date.parse(time)) / 60_000);
  if (minutes < 1) return LANGUAGES[language].justNow;
  const format = new Intl.RelativeTimeFormat(language, { style: "short", numeric: "auto" });
  if (minutes < 60) return format.format(-minutes, "minute");
  if (minutes < 24 * 60) return format.format(-Math.floor(minutes / 60), "hour");
  if (minutes < 7 * 24 * 60) return format.format(-Math.floor(minutes / 1_440), "day");
  return new Date(time).toLocaleDateString(language, { month: "short", day: "numeric" });
}
