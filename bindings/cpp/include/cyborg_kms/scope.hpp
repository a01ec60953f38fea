/* Calls with a deadline and a principal of their own, which can be cancelled. */
#ifndef CYBORG_KMS_SCOPE_HPP
#define CYBORG_KMS_SCOPE_HPP

#include "engine.hpp"

namespace cyborg_kms {

/* An engine with settings of its own; Engine::scope. Indexes that are opened through it are not bound to it.
 */
class Scope final : public Engine {
  public:
    /* Ends the calls through it, under way and to come: CancelledError. From any thread. */
    void cancel() const noexcept { cyborg_kms_engine_cancel(get()); }

  private:
    friend Engine;
    using Engine::Engine;
};

inline Result<Scope> Engine::try_scope(const ScopeOptions &options) const noexcept {
    const cyborg_kms_scope_options raw = detail::raw(options);
    cyborg_kms_engine *out = nullptr;
    Result<void> done = detail::called(
        {options.principal}, [&](auto error) { return cyborg_kms_engine_scope(get(), &raw, &out, error); });
    if (!done)
        return std::move(done).failure();
    return Scope(out, audit_);
}
inline Scope Engine::scope(const ScopeOptions &options) const {
    return try_scope(options).value();
}

} // namespace cyborg_kms

#endif
