'use strict';

// The process's log callback. While one is set any call may wait for JavaScript, to have its line taken.

const { native } = require('./native.js');
const { constants } = require('./constants.js');
const { callback: function_, integer } = require('./args.js');
const { keep, forget, inTurns, logCallback, onlyOnMainThread } = require('./callbacks.js');
const { offThread } = require('./lanes.js');

let current = null;
const inTurn = inTurns();

const hearsLog = () => current !== null;

// Gives each line up to `level` to `callback`; null ends it. The promise resolves when the former callback hears no
// more. It returns at once: a thread that is in the former one waits for this thread.
function setLogCallback(level, callback = null) {
  return inTurn(() => replace(level, callback));
}

async function replace(level, callback) {
  // The process has one, which a worker must not end either.
  onlyOnMainThread('setLogCallback');
  integer(level, constants.LOG_TRACE, 'level');
  const off = callback === null || level === constants.LOG_OFF;
  const former = current;
  const next = off ? null : keep(function_(callback, 'callback'));
  if (!off) current = next;
  await offThread(native.set_log_callback, off ? [0, null, null] : [level, logCallback(), next], true);
  current = next;
  if (former !== null) forget(former);
}

module.exports = { hearsLog, setLogCallback };
