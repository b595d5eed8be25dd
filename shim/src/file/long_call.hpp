// A call that may wait without bound, on a thread of its own, which a signal or a kill calls back.  Floor: shim.
#pragma once

#include <atomic>
#include <cerrno>

#include <weft/detail/small_lock.hpp>
#include <weft/detail/work.hpp>

#include "../core.hpp"
#include "pooled.hpp"

namespace weft::shim {

/// The thread is called back by a signal, or its kernel call would never know: the highest real-time signal that has no
/// handler and that the caller's thread does not block. It has a handler that does nothing while a call is being called
/// back, and is blocked everywhere else in the pool. If there is none, nothing calls back.
class long_call final : detail::work {
public:
    using function = long (*)(void* argument) noexcept;
    long_call(function call, void* argument) noexcept : call_{call}, argument_{argument} {}

    /// Parks the caller until the call is over. @returns how that came about: ready, or interrupted or killed if
    /// that called the thread back; failed if there is no thread or descriptor for it: nothing was called
    io::outcome wait(const io::manner& how);

    long result() const noexcept { return result_; }
    int error() const noexcept { return error_; }
    int signal() const noexcept { return signal_; }

private:
    enum class phase : std::uint8_t { queued, running, over };

    void run() noexcept override;
    void drop(int error) noexcept override;
    void call_back() noexcept;
    void tell() noexcept;
    io::outcome wait_for_end(io::manner how);

    function call_;
    void* argument_;
    long result_ = -1;
    int error_ = 0;
    int signal_ = 0;         // SIGXFSZ or SIGPIPE, for the caller's thread
    bool dropped_ = false;
    int event_ = -1;         // written to once it is over: after that nothing here is the thread's
    int lent_ = 0;           // the signal that calls back; 0 for none
    detail::small_lock lock_;  // guards the rest
    phase phase_ = phase::queued;
    bool unwanted_ = false;
    int thread_ = 0;
};

/// Makes the call on a thread of its own. A kill calls it back only if it is `killable`; without a descriptor to wait on,
/// nothing does. Where there is no such thread, the caller's own makes the call. @returns its result, with its errno, or what a kill makes of it
template <class Call>
auto call_long(const core& from, const char* what, io::signal_rule signals, bool killable, Call call)
    -> decltype(call()) {
    const errno_kept kept;
    const auto body = [](void* at) noexcept { return static_cast<long>((*static_cast<Call*>(at))()); };
    long_call made{body, &call};
    io::manner how = from.manner_of(what, deadline::never(), signals);
    how.interruptible = killable;
    const io::outcome end = made.wait(how);
    if (end == io::outcome::failed) {
        const io::attempt none{-1};
        return offloaded(detail::offload_kind::unbounded, what, none, none, call);
    }
    raise_here(made.signal());
    if (made.result() >= 0) {
        kept.restore();
        return static_cast<decltype(call())>(made.result());
    }
    errno = made.error();
    return end == io::outcome::killed && made.error() == EINTR ? from.failed(end, what, 0) : -1;
}

}  // namespace weft::shim
