/** Places in the hub's log, `<epoch>.<position>`: which of two comes later. */

function parse(cursor) {
  const dot = cursor.lastIndexOf(".");
  return { epoch: cursor.slice(0, dot), position: Number(cursor.slice(dot + 1)) };
}

/** Whether a place is after another; every event is applied once, however often it is told. @param {string} cursor @param {string} other */
export function isPast(cursor, other) {
  if (!cursor || !other) return true;
  const [a, b] = [parse(cursor), parse(other)];
  return a.epoch !== b.epoch || a.position > b.position;
}
