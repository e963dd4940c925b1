/** Compares cursors, written `<epoch>.<position>`. */

function parse(cursor) {
  const dot = cursor.lastIndexOf(".");
  return { epoch: cursor.slice(0, dot), position: Number(cursor.slice(dot + 1)) };
}

/** Whether a cursor is after another; a cursor of another epoch is. @param {string} cursor @param {string} other */
export function isPast(cursor, other) {
  if (!cursor || !other) return true;
  const [a, b] = [parse(cursor), parse(other)];
  return a.epoch !== b.epoch || a.position > b.position;
}
