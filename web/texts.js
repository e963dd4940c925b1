/** Every word the elements say, one table per language; what a notification says follows from its type and data. */

const EN = {
  notifications: "Notifications",
  bell: (unread, unseen) => `Notifications, ${unread} unread${unseen ? `, ${unseen} new` : ""}`,
  all: "All", unreadOnly: "Unread", jobs: "Jobs", messages: "Messages", archived: "Archived",
  markAllRead: "Mark all read", markRead: "Mark as read", markUnread: "Mark as unread", archive: "Archive", unarchive: "Move back",
  close: "Close", dismiss: "Dismiss", undo: "Undo", retry: "Try again", open: "Open", done: "Done", justNow: "Just now",
  didRead: (n) => (n === 1 ? "Marked as read." : "All marked as read."),
  didArchive: (n) => (n === 1 ? "Archived." : `${n} archived.`),
  didUnarchive: () => "Moved back.",
  empty: "Nothing yet", emptyHint: "What concerns you will appear here by itself.",
  emptyUnread: "All caught up", emptyUnreadHint: "You have read everything.",
  loading: "Loading…", more: "Loading more…", end: "That is all.",
  offlineSince: (time) => `Offline. This is what was known at ${time}.`,
  live: "Live updates active", connecting: "Connecting…", offline: "Offline", signedOut: "Signed out",
  away: "While you were away", missed: (n) => (n === 1 ? "One thing happened." : `${n} things happened.`),
  newJob: "New Job Posted!", announcement: "Announcement", urgent: "Urgent", high: "Important", times: (n) => `${n}×`,
  keys: "j and k move, Enter opens, e archives, u marks as read or unread, Escape closes",
  alerts: "Turn on alerts for hires and messages?", turnOn: "Turn on", notNow: "Not now",
  conversations: "Conversations", newMessage: "Message", send: "Send", write: "Write a message…", attach: "Attach a file", back: "Back",
  typing: (names) => (names.length === 1 ? `${names[0]} is typing…` : `${names.length} people are typing…`),
  read: "Read", delivered: "Delivered", sent: "Sent", waiting: "Waiting to be sent", failed: "Not sent", discard: "Discard", deleted: "This message was deleted.",
  edited: "edited", older: "Earlier messages", noConversations: "No conversations yet", noConversationsHint: "Write to somebody from a job or their profile.",
  pick: "Pick a conversation", edit: "Edit", remove: "Delete", save: "Save", cancel: "Cancel", mute: "Mute", unmute: "Unmute", muted: "muted",
  online: "Online", idle: "Away", offlineNow: "Offline", you: "You", group: "Group",
  preferences: "What you are told, and how", inApp: "In the app", push: "On this device", email: "E-mail",
  categories: { job: "Jobs", bid: "Bids", hire: "Hires", message: "Messages", comment: "Comments", payment: "Payments", system: "The hub itself" },
  locked: "Hires and payments always appear in the app: they are about your work and your money.",
  quiet: "Quiet hours", quietHint: "Push and e-mail wait until they end; urgent ones pass.", from: "From", to: "To", timeZone: "Time zone",
  days: ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], saved: "Saved.", unavailable: "This hub has no preferences yet.",
  pushOn: "Turn on for this device", pushOff: "Turn off for this device", pushTest: "Send a test", pushDenied: "Your browser blocks notifications for this site. Allow them in the site settings, beside the address.",
  pushNone: "This browser cannot receive push.", pushIos: "On iPhone and iPad: add this site to the Home Screen first, then open it from there.", pushTested: "Sent. It should appear in a moment.",
  said: {},
};

const DE = {
  notifications: "Mitteilungen",
  bell: (unread, unseen) => `Mitteilungen, ${unread} ungelesen${unseen ? `, ${unseen} neu` : ""}`,
  all: "Alle", unreadOnly: "Ungelesen", jobs: "Aufträge", messages: "Nachrichten", archived: "Archiv",
  markAllRead: "Alle als gelesen markieren", markRead: "Als gelesen markieren", markUnread: "Als ungelesen markieren", archive: "Archivieren", unarchive: "Zurückholen",
  close: "Schließen", dismiss: "Ausblenden", undo: "Rückgängig", retry: "Noch einmal", open: "Öffnen", done: "Erledigt", justNow: "Gerade eben",
  didRead: (n) => (n === 1 ? "Als gelesen markiert." : "Alle als gelesen markiert."),
  didArchive: (n) => (n === 1 ? "Archiviert." : `${n} archiviert.`),
  didUnarchive: () => "Zurückgeholt.",
  empty: "Noch nichts", emptyHint: "Was Sie betrifft, erscheint hier von selbst.",
  emptyUnread: "Alles gelesen", emptyUnreadHint: "Es gibt nichts Neues.",
  loading: "Wird geladen…", more: "Mehr wird geladen…", end: "Das ist alles.",
  offlineSince: (time) => `Offline. Stand: ${time}.`,
  live: "Live verbunden", connecting: "Verbinden…", offline: "Offline", signedOut: "Abgemeldet",
  away: "Während Sie weg waren", missed: (n) => (n === 1 ? "Es ist eine Sache passiert." : `Es sind ${n} Dinge passiert.`),
  newJob: "Neuer Auftrag!", announcement: "Ankündigung", urgent: "Dringend", high: "Wichtig", times: (n) => `${n}×`,
  keys: "j und k bewegen, Enter öffnet, e archiviert, u markiert als gelesen oder ungelesen, Escape schließt",
  alerts: "Bei Zusagen und Nachrichten benachrichtigen?", turnOn: "Einschalten", notNow: "Jetzt nicht",
  conversations: "Unterhaltungen", newMessage: "Nachricht", send: "Senden", write: "Nachricht schreiben…", attach: "Datei anhängen", back: "Zurück",
  typing: (names) => (names.length === 1 ? `${names[0]} schreibt…` : `${names.length} Personen schreiben…`),
  read: "Gelesen", delivered: "Zugestellt", sent: "Gesendet", waiting: "Wird gesendet, sobald es geht", failed: "Nicht gesendet", discard: "Verwerfen", deleted: "Diese Nachricht wurde gelöscht.",
  edited: "bearbeitet", older: "Frühere Nachrichten", noConversations: "Noch keine Unterhaltungen", noConversationsHint: "Schreiben Sie jemandem von einem Auftrag oder Profil aus.",
  pick: "Unterhaltung wählen", edit: "Bearbeiten", remove: "Löschen", save: "Speichern", cancel: "Abbrechen", mute: "Stumm schalten", unmute: "Ton an", muted: "stumm",
  online: "Online", idle: "Abwesend", offlineNow: "Offline", you: "Sie", group: "Gruppe",
  preferences: "Worüber Sie informiert werden, und wie", inApp: "In der App", push: "Auf diesem Gerät", email: "E-Mail",
  categories: { job: "Aufträge", bid: "Angebote", hire: "Zusagen", message: "Nachrichten", comment: "Kommentare", payment: "Zahlungen", system: "Der Dienst selbst" },
  locked: "Zusagen und Zahlungen erscheinen immer in der App: Es geht um Ihre Arbeit und Ihr Geld.",
  quiet: "Ruhezeiten", quietHint: "Push und E-Mail warten bis zu ihrem Ende; Dringendes kommt durch.", from: "Von", to: "Bis", timeZone: "Zeitzone",
  days: ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"], saved: "Gespeichert.", unavailable: "Dieser Dienst hat noch keine Einstellungen.",
  pushOn: "Auf diesem Gerät einschalten", pushOff: "Auf diesem Gerät ausschalten", pushTest: "Test senden", pushDenied: "Ihr Browser blockiert Mitteilungen dieser Seite. Erlauben Sie sie in den Einstellungen neben der Adresse.",
  pushNone: "Dieser Browser kann keine Push-Mitteilungen empfangen.", pushIos: "Auf iPhone und iPad: erst zum Home-Bildschirm hinzufügen, dann von dort öffnen.", pushTested: "Gesendet. Sie sollte gleich erscheinen.",
  said: {
    hired: (d) => [`Sie haben den Auftrag „${d.title}“!`, d.client && `${d.client.name} hat Sie beauftragt.`],
    bid_received: (d) => [`Neues Angebot: ${d.title}`, d.freelancer && `Von ${d.freelancer.name}.`],
    bid_rejected: (d) => [`Nicht ausgewählt: ${d.title}`, "Der Auftrag ging an jemand anderen."],
    job_accepted: (d) => [`Angenommen: ${d.title}`],
    job_submitted: (d) => [`Abgegeben: ${d.title}`],
    changes_requested: (d) => [`Änderungen gewünscht: ${d.title}`, d.note],
    job_completed: (d) => [`Abgeschlossen: ${d.title}`],
    payment_released: (d) => [`Zahlung freigegeben: ${d.title}`],
    job_cancelled: (d) => [`Abgesagt: ${d.title}`],
    job_refunded: (d) => [`Erstattet: ${d.title}`],
    comment: (d) => [`Neuer Kommentar: ${d.title}`, d.text],
  },
};

export const LANGUAGES = { en: EN, de: DE };

/** The language an element stands in: `lang` around it, else the browser's. @param {Element} element */
export function languageOf(element) {
  const asked = element.closest("[lang]")?.getAttribute("lang") || navigator.language || "en";
  const [language] = asked.toLowerCase().split("-");
  return language in LANGUAGES ? language : "en";
}

/** Title and body of a notification in a language; what the hub wrote is the fallback. @param {any} item @param {string} language */
export function wordsOf(item, language) {
  const said = item.data?.title !== undefined && LANGUAGES[language].said[item.type]?.(item.data);
  return { title: said?.[0] ?? item.title, body: said ? (said[1] ?? "") : item.body };
}

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
