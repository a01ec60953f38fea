/* cyborg_kms for C++17: RAII types over cyborg_kms.h, header only. docs/languages/cpp.md shows it in one
 * screen.
 *
 * Every call has two forms. The plain one returns its value and throws an Error of the class of its status
 * (NotFoundError, ThrottledError, …). The one whose name begins with try_ is noexcept and returns a Result.
 *
 * Handles are move-only and free themselves. Many threads may use one at once (a Blob excepted); moving from,
 * moving to or destroying one while another thread uses it is a data race. A handle that was moved from is
 * empty: calls on it are INVALID_ARGUMENT. Handles keep alive what they need, so they may be destroyed in any
 * order.
 *
 * What each call does, its sizes and each status that it can return stand at the C function of the same name
 * in cyborg_kms.h; here stands what is C++'s. */
#ifndef CYBORG_KMS_HPP
#define CYBORG_KMS_HPP

#include "cyborg_kms/audit.hpp"
#include "cyborg_kms/blob.hpp"
#include "cyborg_kms/buffer.hpp"
#include "cyborg_kms/bytes.hpp"
#include "cyborg_kms/engine.hpp"
#include "cyborg_kms/engine_options.hpp"
#include "cyborg_kms/error.hpp"
#include "cyborg_kms/index.hpp"
#include "cyborg_kms/library.hpp"
#include "cyborg_kms/log.hpp"
#include "cyborg_kms/provider.hpp"
#include "cyborg_kms/records.hpp"
#include "cyborg_kms/reply.hpp"
#include "cyborg_kms/result.hpp"
#include "cyborg_kms/scope.hpp"
#include "cyborg_kms/secret_key.hpp"
#include "cyborg_kms/status.hpp"
#include "cyborg_kms/store.hpp"
#include "cyborg_kms/text.hpp"

#endif
