'use strict';

const { Status, constants } = require('./constants.js');
const { KmsError } = require('./errors.js');
const { KmsBlob } = require('./blob.js');
const { Store } = require('./store.js');
const { Engine } = require('./engine.js');
const { Index, pageDataKeyId } = require('./index_handle.js');
const { setLogCallback } = require('./listening.js');
const { version, abiVersion, statusName, randomKey, wipe, auditVerify, auditHead } = require('./process.js');

module.exports = {
  Engine,
  Index,
  KmsBlob,
  KmsError,
  Status,
  Store,
  abiVersion,
  auditHead,
  auditVerify,
  constants,
  pageDataKeyId,
  randomKey,
  setLogCallback,
  statusName,
  version,
  wipe,
};
