#include "base/mailbox.hpp"

#include <new>

namespace weft::detail {

// What the calling thread owes. More than fit are paid at once.
struct mailbox::debts {
    static constexpr unsigned most = 8;
    debt list[most];
    unsigned count = 0;

    static debts& own() noexcept {
        static constinit thread_local debts mine;
        return mine;
    }
};

// The last act is to let wake_by() go on.
void mailbox::debt::pay() const noexcept {
    const std::uint64_t one = 1;
    if (fd >= 0) sys::write(fd, &one, sizeof one);
    else sys::futex_wake(to->asleep_, 1);
    to->waking_.fetch_sub(1, std::memory_order_release);
}

bool mailbox::post_and_wake(mail& item, phase refused) noexcept {
    debt owed;
    const bool taken = post_until(item, refused, owed);
    if (owed.to) owed.pay();
    return taken;
}

bool mailbox::post_and_owe(mail& item) noexcept {
    debt owed;
    post_until(item, phase::closing, owed);
    if (!owed.to) return false;
    debts& mine = debts::own();
    if (mine.count == debts::most) {
        owed.pay();
        return false;
    }
    add_ref();
    mine.list[mine.count++] = owed;
    return true;
}

void mailbox::wake_owed() noexcept {
    debts& mine = debts::own();
    for (unsigned i = 0; i < mine.count; ++i) {
        mine.list[i].pay();
        mine.list[i].to->release();
    }
    mine.count = 0;
}

bool mailbox::post_until(mail& item, phase refused, debt& owed) noexcept {
    gate_.lock();
    if (phase_ >= refused) {
        gate_.unlock();
        return false;
    }
    mail* newest = newest_.load(std::memory_order_relaxed);
    do item.next = newest;
    while (!newest_.compare_exchange_weak(newest, &item, std::memory_order_seq_cst, std::memory_order_relaxed));
    // Either the owner sees the item in going_to_sleep(), or this sees that it sleeps: both are seq_cst.
    if (asleep_.exchange(0, std::memory_order_seq_cst) != 0) {
        waking_.fetch_add(1, std::memory_order_relaxed);
        owed = {this, wake_fd_};
    }
    gate_.unlock();
    return true;
}

bool mailbox::deliver_all() noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return false;
    mail* taken = newest_.exchange(nullptr, std::memory_order_acquire);
    mail* oldest = nullptr;
    while (taken) {
        mail* next = taken->next;
        taken->next = oldest;
        oldest = taken;
        taken = next;
    }
    const bool any = oldest != nullptr;
    while (oldest) {
        mail* next = oldest->next;
        oldest->arrive();
        oldest = next;
    }
    return any;
}

bool mailbox::going_to_sleep() noexcept {
    asleep_.store(1, std::memory_order_seq_cst);
    if (newest_.load(std::memory_order_seq_cst) == nullptr) return true;
    woke_up();
    return false;
}

void mailbox::wake_by(int eventfd) noexcept {
    gate_.lock();
    wake_fd_ = eventfd;
    gate_.unlock();
    constexpr timespec nap{0, 50'000};
    while (waking_.load(std::memory_order_acquire) != 0) sys::call(SYS_nanosleep, sys::word(&nap), 0);
}

void mailbox::after_fork() noexcept {
    new (&gate_) small_lock;  // perhaps held by a thread that does not exist here
    newest_.store(nullptr, std::memory_order_relaxed);
    waking_.store(0, std::memory_order_relaxed);
    woke_up();
}

void mailbox::close() noexcept {
    gate_.lock();
    phase_ = phase::closing;
    wake_fd_ = -1;
    gate_.unlock();
    deliver_all();
}

bool mailbox::has_ended() noexcept {
    gate_.lock();
    const bool ended = phase_ != phase::open;
    gate_.unlock();
    return ended;
}

bool mailbox::end(std::int64_t claims) noexcept {
    gate_.lock();
    const bool quiet = empty();
    if (quiet) phase_ = phase::ended;
    gate_.unlock();
    if (quiet && refs_.fetch_add(claims - owners_share, std::memory_order_acq_rel) == owners_share - claims) delete this;
    return quiet;
}

}  // namespace weft::detail
