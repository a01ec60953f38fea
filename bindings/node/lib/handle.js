'use strict';

// What engine, index, store and blob have in common: a pointer that is freed once, when nothing uses it any more.

const { native } = require('./native.js');
const { callOffThread, Place } = require('./call.js');
const { offThread } = require('./lanes.js');
const { invalid } = require('./errors.js');
const { hearsLog } = require('./listening.js');

const CELL = Symbol('cell');
// Who has it may construct handles: not the users, who have no pointers.
const OURS = Symbol('ours');

// The part of a handle that outlives it. `backing`: whether JavaScript answers for the engine that it belongs to.
class Cell {
  constructor(noun, pointer, backing) {
    this.noun = noun;
    this.pointer = pointer;
    // Of an index that may wait for JavaScript: the same index, but by a handle that does not wait.
    this.quick = 0n;
    this.waits = true;
    this.backing = backing;
    this.pending = 0;
    this.closed = false;
    this.freed = null;
  }

  // Whether a call may ask JavaScript before it returns.
  mayWaitForUs() {
    return this.backing.js || hearsLog();
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    if (this.pending === 0) this.free();
  }

  // The last engine or index waits for callbacks under way: where these are ours, or it is an engine, off the thread.
  free() {
    const free = native[`${this.noun}_free`];
    const pointers = [this.pointer, this.quick].filter((pointer) => pointer !== 0n);
    this.pointer = this.quick = 0n;
    if (this.noun === 'engine' || this.mayWaitForUs()) {
      this.freed = Promise.all(pointers.map((pointer) => offThread(free, [pointer], this.mayWaitForUs())));
    } else {
      for (const pointer of pointers) free(pointer);
      this.freed = Promise.resolve();
    }
    this.whenFreed?.(this.freed);
  }
}

// A safety net: the memory of a handle that was not closed is freed with it, some time.
const lost = new FinalizationRegistry((cell) => cell.close());

class Handle {
  constructor(ours, noun, pointer, backing) {
    if (ours !== OURS) throw invalid(`new ${new.target.name}() does not make one: use its static functions`);
    const cell = new Cell(noun, pointer, backing);
    this[CELL] = cell;
    lost.register(this, cell, cell);
  }

  // Ends the use of the handle at once; calls under way end first. The promise never rejects: it says when all that
  // the handle kept is gone, threads of the library's too.
  async close() {
    const cell = this[CELL];
    lost.unregister(cell);
    cell.close();
    // A promise of promises: the one that frees comes when the last call under way is back.
    cell.over ??= cell.freed ?? new Promise((resolve) => (cell.whenFreed = resolve));
    await cell.over;
  }

  [Symbol.dispose]() {
    const cell = this[CELL];
    lost.unregister(cell);
    cell.close();
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }
}

// The pointer of an open handle, for a call that ends before it gives control back.
function pointerOf(handle) {
  const cell = handle[CELL];
  if (cell.closed) throw closed(cell);
  return cell.pointer;
}

const closed = (cell) => invalid(`the ${cell.noun} is closed`);

// Calls a function off the main thread. A handle among the parameters is given as its pointer, and stays open until the
// call is back. `mayWaitForUs`: whether the call itself brings a callback.
async function use(function_, parameters, place = new Place(), mayWaitForUs = false) {
  const cells = parameters.filter((parameter) => parameter instanceof Handle).map((handle) => handle[CELL]);
  for (const cell of cells) if (cell.closed) throw closed(cell);
  for (const cell of cells) cell.pending += 1;
  try {
    const waits = mayWaitForUs || cells.some((cell) => cell.mayWaitForUs());
    const values = parameters.map((parameter) => (parameter instanceof Handle ? parameter[CELL].pointer : parameter));
    await callOffThread(function_, values, place, waits);
  } finally {
    for (const cell of cells) {
      cell.pending -= 1;
      if (cell.closed && cell.pending === 0) cell.free();
    }
  }
  return place;
}

module.exports = { Handle, CELL, OURS, pointerOf, closed, use };
