'use strict';

// How the library calls JavaScript. koffi has a limited number of callbacks, so there is one for each kind, made when it
// is first needed; `user_data` is a number that says which object is meant.

const { isMainThread } = require('node:worker_threads');
const koffi = require('koffi');
const { native, protos } = require('./native.js');
const { takeError } = require('./call.js');
const { unsupported } = require('./errors.js');

const live = new Map();
let last = 0n;

// The library may call when a worker's JavaScript is gone already.
function onlyOnMainThread(what) {
  if (isMainThread) return;
  throw unsupported(`${what} has the library call JavaScript, which works on Node's main thread only, not in a worker`);
}

function keep(target) {
  last += 1n;
  live.set(last, target);
  return last;
}

const find = (id) => live.get(id);
const forget = (id) => live.delete(id);

// An error that nobody waits for ends as any uncaught one does.
function throwLater(error) {
  setImmediate(() => {
    throw error;
  });
}

// Runs changes one after the other: whoever is set last is heard in the end.
function inTurns() {
  let last = Promise.resolve();
  return (change) => {
    const done = last.then(change);
    last = done.catch(() => {});
    return done;
  };
}

const registered = new Map();

// The C function for one kind of callback; `answer` is the same each time.
function callbackOf(kind, answer) {
  if (!registered.has(kind)) registered.set(kind, koffi.register(answer, koffi.pointer(protos[kind])));
  return registered.get(kind);
}

// What an index opened by the library itself is told by: once.
const indexCallback = () =>
  callbackOf('index_callback', (status, index, error, id) => {
    const waiting = find(id);
    forget(id);
    if (error) waiting.reject(takeError(error));
    else waiting.resolve(index);
  });

// A question whose answer says whether to go on; an error of it stops the call and is its outcome.
function goOn(id, ...told) {
  const asked = find(id);
  try {
    return asked.callback(...told) !== false;
  } catch (error) {
    asked.failure = { error };
    return false;
  }
}

const nameCallback = () => callbackOf('name_callback', (name, id) => goOn(id, name));
const progressCallback = () =>
  callbackOf('progress_callback', (done, total, name, status, id) =>
    goOn(id, { done: Number(done), total: Number(total), indexName: name, code: native.status_name(status) }),
  );

// Runs `call` with the id of `callback`, and throws what the callback threw.
async function whileAsked(callback, call) {
  const asked = { callback, failure: null };
  const id = keep(asked);
  try {
    return await call(id);
  } finally {
    forget(id);
    if (asked.failure !== null) throw asked.failure.error;
  }
}

function tell(id, value) {
  try {
    find(id)?.(value);
  } catch (error) {
    throwLater(error);
  }
}

const auditCallback = () => callbackOf('audit_callback', (event, id) => tell(id, JSON.parse(event)));
const logCallback = () =>
  callbackOf('log_callback', (level, target, message, fields, id) =>
    tell(id, { level, target, message, fields: JSON.parse(fields) }),
  );

module.exports = {
  keep,
  find,
  forget,
  throwLater,
  inTurns,
  onlyOnMainThread,
  callbackOf,
  indexCallback,
  nameCallback,
  progressCallback,
  auditCallback,
  logCallback,
  whileAsked,
};
