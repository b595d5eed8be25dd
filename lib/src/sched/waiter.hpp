// Somebody who waits for a grant that may come from any thread.  Floor: sched.
#pragma once

#include "base/mailbox.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {

enum class grant_status : std::uint8_t {
    waiting,    // in the list of what it waits for
    granted,    // out of it, made ready by its own thread
    posted,     // out of it, and this object is on its way to its own thread's mailbox
    delivered,  // the mail has arrived
};

/// Lives on the waiting fiber's stack. `now` is guarded by the lock of the list that it is in until it has been
/// granted or posted, and is its own thread's from then on.
struct waiter : mail {
    waiter(thread& t, const park_token& waiting_as, void* carried = nullptr) noexcept
        : token{waiting_as}, home{t.box}, item{carried} {}

    virtual ~waiter() = default;

    /// Under the list's lock, with the node taken out: makes the fiber ready, on its own thread or by a post.
    /// @returns whether mailbox::wake_owed() is due once the lock has been let go
    [[nodiscard]] bool grant() noexcept;
    /// For locks that nobody wants who is woken.
    void grant_and_wake() noexcept {
        if (grant()) mailbox::wake_owed();
    }

    /// The granting thread lets go of the node only when the mail has arrived: waits for that.
    void await_delivery(scheduler& sched);

    park_token token;
    mailbox* home;
    void* item;
    struct watcher* by = nullptr;  // this is a watch of it, which takes nothing
    waiter* prev = nullptr;
    waiter* next = nullptr;
    grant_status now = grant_status::waiting;

protected:
    bool post() noexcept;  // as grant()

private:
    void rouse() noexcept;
    void arrive() noexcept override;
};

}  // namespace weft::detail
