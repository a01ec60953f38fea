'use strict';

// Calls that can block run on libuv's threads, which the file system uses too. One of these threads stays free, and
// calls that may wait for JavaScript leave another to calls that do not: else a provider that reads a file, or asks
// another engine, would wait for ever for the calls that wait for it. With fewer than three threads it can all the same.

const { isMainThread } = require('node:worker_threads');
const koffi = require('koffi');

const THREADS = Math.min(Math.max(Number.parseInt(process.env.UV_THREADPOOL_SIZE, 10) || 4, 1), 1024);
const MOST = Math.max(THREADS - 1, 1);
const MOST_WAITING = Math.max(THREADS - 2, 1);

const queues = { plain: [], waiting: [] };
const running = { plain: 0, waiting: 0 };
let uncaught = null;

// Calls `native` with `parameters` off the main thread; `mayWaitForUs`: whether JavaScript may be asked meanwhile.
// Gives what the function returns. What `parameters` point to is held until then.
function offThread(native, parameters, mayWaitForUs) {
  return new Promise((resolve, reject) => {
    queues[mayWaitForUs ? 'waiting' : 'plain'].push({ native, parameters, resolve, reject });
    pump();
  });
}

function pump() {
  for (;;) {
    if (running.plain + running.waiting >= MOST) return;
    if (queues.waiting.length > 0 && running.waiting < MOST_WAITING) start('waiting');
    else if (queues.plain.length > 0) start('plain');
    else return;
  }
}

function start(lane) {
  const task = queues[lane].shift();
  if (lane === 'waiting' && running.waiting === 0) watchExit();
  running[lane] += 1;
  const done = (settle, outcome) => {
    running[lane] -= 1;
    if (lane === 'waiting' && running.waiting === 0) unwatchExit();
    // Named here so that the closure, which koffi keeps, keeps the memory that the library writes to.
    task.parameters = null;
    settle(outcome);
    pump();
  };
  try {
    task.native.async(...task.parameters, (error, result) => {
      if (error) done(task.reject, error);
      else done(task.resolve, result);
    });
  } catch (error) {
    done(task.reject, error);
  }
}

// At its end Node waits for its threads. One that waits for JavaScript, which does not run any more, would keep the
// process for ever; then it leaves without waiting.
let leaveNow;

function leave(code) {
  // Those that the program added later would not be heard any more.
  const listeners = process.rawListeners('exit');
  try {
    for (const listener of listeners.slice(listeners.indexOf(leave) + 1)) listener.call(process, code);
  } catch (error) {
    remember(error);
    code ||= 1;
  }
  // Node would print it after this, where nobody handles it.
  if (uncaught !== null && process.listenerCount('uncaughtException') === 0) {
    process.stderr.write(`${uncaught?.stack ?? uncaught}\n`);
  }
  leaveNow ??= koffi.load(null).func('_exit', 'void', ['int']);
  leaveNow(Number(process.exitCode || code));
}

function remember(error) {
  uncaught = error ?? 'an exception without a value was thrown';
}

function watchExit() {
  // A worker's end is not the process's; and its calls do not wait for its JavaScript, which answers for nothing.
  if (!isMainThread) return;
  process.on('uncaughtExceptionMonitor', remember);
  process.on('exit', leave);
}

function unwatchExit() {
  process.off('uncaughtExceptionMonitor', remember);
  process.off('exit', leave);
  uncaught = null;
}

module.exports = { offThread };
