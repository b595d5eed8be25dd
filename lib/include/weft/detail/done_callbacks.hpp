/// @file weft/detail/done_callbacks.hpp
/// Who wants to be called once something is done, each in a task of its own hub.  Floor: kit.
#pragma once

#include <memory>

#include <weft/detail/export.hpp>
#include <weft/detail/mail.hpp>
#include <weft/detail/small_lock.hpp>

namespace weft::detail {

class mailbox;

/// One of them; owned by the list, then by the post to its hub, then by the task.
struct WEFT_API done_callback : mail {
    /// For a task of this thread's hub.
    done_callback();
    virtual ~done_callback();
    done_callback(const done_callback&) = delete;
    done_callback& operator=(const done_callback&) = delete;

    virtual void run(const std::shared_ptr<void>& done) = 0;

    void arrive() noexcept override;

    mailbox* home;               // counted
    std::shared_ptr<void> done;  // what is, from then on: earlier it would keep itself
};

class WEFT_API done_callbacks {
public:
    constexpr done_callbacks() noexcept = default;
    ~done_callbacks();
    done_callbacks(const done_callbacks&) = delete;
    done_callbacks& operator=(const done_callbacks&) = delete;

    /// Of the thread that has made it. If all is done already, it is posted at once.
    void add(std::unique_ptr<done_callback> callback, const std::shared_ptr<void>& of);
    /// Once: posts all, in the order of add(), and whatever is added later is posted at once.
    void complete(const std::shared_ptr<void>& of) noexcept;

private:
    small_lock lock_;
    bool done_ = false;
    mail* first_ = nullptr;
    mail* last_ = nullptr;
};

}  // namespace weft::detail
