'use strict';

// What the handles of one engine have in common: whether JavaScript answers for it.

const { forget, inTurns } = require('./callbacks.js');
const { hearsLog } = require('./listening.js');

class Backing {
  // `js`: whether a provider or the store is JavaScript.
  constructor(js = false) {
    this.js = js;
    // The id of the audit callback.
    this.audit = null;
    this.inTurn = inTurns();
    this.handles = 0;
  }

  // Whether a call may ask JavaScript before it returns.
  mayWaitForUs() {
    return this.js || this.audit !== null || hearsLog();
  }

  // A handle was freed; with the last one the engine is, and no event comes any more.
  release() {
    this.handles -= 1;
    if (this.handles > 0 || this.audit === null) return;
    forget(this.audit);
    this.audit = null;
  }
}

module.exports = { Backing };
