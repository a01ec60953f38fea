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
 * Sizes are in bytes. Texts and bytes that are given are borrowed for the call (a callback or a provider that
 * is handed over is kept); what a getter gives lives as long as its handle. From any thread, where nothing
 * else is said. Which statuses a call can return, and what each means there, stands in cyborg_kms.h at the
 * function that it calls: Engine::open_index is cyborg_kms_index_open, Store::get_index_kms is
 * cyborg_kms_get_index_kms. */
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
