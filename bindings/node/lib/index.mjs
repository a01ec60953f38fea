// The same module for `import`: one library, one set of classes in a process.
import cyborgKms from './index.js';

export const {
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
} = cyborgKms;
