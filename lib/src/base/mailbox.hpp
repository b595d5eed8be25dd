// Where other OS threads leave work for the thread that owns it.  Floor: base.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/export.hpp>
#include <weft/detail/mail.hpp>
#include <weft/detail/small_lock.hpp>

#include "base/sys.hpp"

namespace weft::detail {

/// Many senders, one owner. Counted, since senders may hold it longer than the owner lives.
///
/// Order:    first in, first out for each sender, and among senders in the order of post().
/// Threads:  post(), add_ref() and release() from any thread; the rest is the owner's.
class mailbox {
public:
    mailbox() noexcept = default;
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    /// @returns false when the owner has gone; the mail is then untouched and still the sender's
    bool post(mail& item) noexcept { return post_and_wake(item, phase::closing); }
    /// For a reference that somebody drops: the owner takes these until it touches no count any more.
    bool post_drop(mail& item) noexcept { return post_and_wake(item, phase::ended); }

    /// As post(), for a sender that holds a lock which the owner will want at once: whoever wakes a thread may have to
    /// give it the processor on the spot.
    /// @returns whether the owner sleeps on: then wake_owed() is due once the lock has been let go
    bool post_and_owe(mail& item) noexcept;
    /// Wakes whomever the calling thread owes that. The boxes may be gone afterwards.
    static void wake_owed() noexcept;

    /// Runs what has been posted so far. @returns whether there was anything
    bool deliver_all() noexcept;

    bool empty() const noexcept { return newest_.load(std::memory_order_acquire) == nullptr; }

    /// Says that the owner is about to sleep on its eventfd or in sleep(). @returns false if there is mail
    bool going_to_sleep() noexcept;
    void woke_up() noexcept { asleep_.store(0, std::memory_order_relaxed); }
    bool asleep() const noexcept { return asleep_.load(std::memory_order_relaxed) != 0; }

    /// Sleeps in the kernel until a post or the timeout (null: none), for owners without a descriptor.
    void sleep(const timespec* timeout) noexcept { sys::futex_wait(asleep_, 1, timeout); }

    /// A look a millisecond, for an owner that can no longer park.
    void sleep_briefly() noexcept {
        const timespec millisecond{0, 1'000'000};
        if (going_to_sleep()) sleep(&millisecond);
        woke_up();
    }

    /// The eventfd that a post writes to when the owner sleeps; -1 for none. From then on nobody writes to the one
    /// before.
    void wake_by(int eventfd) noexcept;

    /// In a forked child: what is inside was sent to the parent, and its senders live there.
    void after_fork() noexcept;

    /// After this every post() is refused. Runs what is left first.
    void close() noexcept;
    /// No post() is taken any more.
    bool has_ended() noexcept;
    /// The owner's last act: after this post_drop() is refused, too, and the object may be gone.
    /// @param claims  references that the owner has given out without counting them here
    /// @returns false, having changed nothing, when there is mail
    bool end(std::int64_t claims) noexcept;

private:
    enum class phase : std::uint8_t { open, closing, ended };
    static constexpr std::int64_t owners_share = std::int64_t{1} << 40;  // more than others can ever give up

    /// A duty to wake the owner, which one sender at a time can have.
    struct debt {
        mailbox* to = nullptr;  // null: none, the owner is awake or being woken
        int fd = -1;
        void pay() const noexcept;
    };
    struct debts;

    ~mailbox() = default;
    bool post_until(mail& item, phase refused, debt& owed) noexcept;
    WEFT_API bool post_and_wake(mail& item, phase refused) noexcept;

    std::atomic<mail*> newest_{nullptr};  // a stack; deliver_all() turns it round
    std::atomic<std::uint32_t> asleep_{0};
    std::atomic<std::int64_t> refs_{owners_share};
    std::atomic<std::uint32_t> waking_{0};  // debts not yet paid; grows only with gate_ held
    small_lock gate_;                       // held by a post from the look at phase_ until it owes a wake-up or not
    int wake_fd_ = -1;
    phase phase_ = phase::open;
};

}  // namespace weft::detail
