// A question to libc's resolver, asked on a pool thread: what libc calls inside itself cannot be seen.  Floor: shim.
#pragma once

#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "../core.hpp"
#include "hub/offload.hpp"
#include "settings.hpp"

namespace weft::shim::dns {

/// What a question needs and brings, apart from whoever asks, who may be killed meanwhile.
class question : public detail::errand {
public:
    void run() noexcept final {
        const in_force like_the_caller{settings_};
        errno = error;
        h_errno = host_error;
        ask();
        error = errno;
        host_error = h_errno;
    }
    virtual void ask() noexcept = 0;

    int error = errno;          // before: the caller's
    int host_error = h_errno;

private:
    settings settings_;
};

enum class ending { answered, killed, no_thread, no_memory };

/// After `killed`, errno is the caller's to answer with. @throws what ends the task, for weft::shim's own names
inline ending put(const std::shared_ptr<question>& asked, const char* call, const core& from) {
    if (!asked) return ending::no_memory;
    detail::errand_end end;
    try {
        end = detail::send_out(detail::offload_kind::dns, asked, call, from.who == caller::foreign);
    } catch (const std::bad_alloc&) {
        return ending::no_memory;
    }
    if (end == detail::errand_end::done) return ending::answered;
    if (end == detail::errand_end::no_thread) return ending::no_thread;
    from.failed(io::outcome::killed, call, 0);
    return ending::killed;
}

/// @returns null if there is no memory
template <class Question, class... Arguments>
std::shared_ptr<Question> made(Arguments&&... arguments) noexcept {
    try {
        return std::make_shared<Question>(std::forward<Arguments>(arguments)...);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

}  // namespace weft::shim::dns
