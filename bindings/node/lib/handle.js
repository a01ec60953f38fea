'use strict';

// What engine, index, store and blob have in common: a pointer that is freed once, when nothing uses it any more.

const { native } = require('./native.js');
const { callOffThread, Place } = require('./call.js');
const { offThread } = require('./lanes.js');
const { invalid } = require('./errors.js');

const CELL = Symbol('cell');
// Who has it may construct handles: not the users, who have no pointers.
const OURS = Symbol('ours');

const FREE = { blob: native.blob_free, engine: native.engine_free, index: native.index_free, store: native.store_free };
const DONE = Promise.resolve();

// The part of a handle that outlives it. `backing`: the Backing of the engine that it belongs to.
class Cell {
  constructor(noun, pointer, backing) {
    this.noun = noun;
    this.pointer = pointer;
    // Of an index that may wait for JavaScript: the same index, but by a handle that does not wait.
    this.quick = 0n;
    this.waits = true;
    this.backing = backing;
    backing.handles += 1;
    this.pending = 0;
    this.closed = false;
    this.freed = null;
    this.tellFreed = null;
  }

  mayWaitForUs() {
    return this.backing.mayWaitForUs();
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    if (this.pending === 0) this.free();
  }

  release() {
    this.pending -= 1;
    if (this.closed && this.pending === 0) this.free();
  }

  free() {
    const [free, pointer, quick] = [FREE[this.noun], this.pointer, this.quick];
    this.pointer = this.quick = 0n;
    this.freed = this.freeing(free, pointer, quick);
    this.tellFreed?.(this.freed);
  }

  // The last engine or index waits for callbacks under way: off this thread where it is an engine, or these are ours.
  freeing(free, pointer, quick) {
    const waits = this.mayWaitForUs();
    if (this.noun === 'engine' || waits) {
      const both = quick === 0n ? [pointer] : [pointer, quick];
      return Promise.all(both.map((each) => offThread(free, [each], waits))).then(() => this.backing.release());
    }
    free(pointer);
    if (quick !== 0n) free(quick);
    this.backing.release();
    return DONE;
  }

  // When it was freed, which waits for the calls under way.
  whenFreed() {
    this.freed ??= new Promise((resolve) => (this.tellFreed = resolve));
    return this.freed;
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
    await cell.whenFreed();
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

// Keeps handles open until `body` has ended.
async function hold(handles, body) {
  const cells = handles.map((handle) => handle[CELL]);
  for (const cell of cells) if (cell.closed) throw closed(cell);
  for (const cell of cells) cell.pending += 1;
  try {
    return await body(...cells);
  } finally {
    for (const cell of cells) cell.release();
  }
}

// Calls a function off the main thread. A handle among the parameters is given as its pointer, and stays open until the
// call is back. `mayWaitForUs`: whether the call itself brings a callback.
function use(function_, parameters, place = new Place(), mayWaitForUs = false) {
  const handles = parameters.filter((parameter) => parameter instanceof Handle);
  return hold(handles, async (...cells) => {
    const waits = mayWaitForUs || cells.some((cell) => cell.mayWaitForUs());
    const values = parameters.map((parameter) => (parameter instanceof Handle ? parameter[CELL].pointer : parameter));
    await callOffThread(function_, values, place, waits);
  });
}

module.exports = { Handle, CELL, OURS, pointerOf, closed, hold, use };
