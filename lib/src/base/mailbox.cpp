#include "base/mailbox.hpp"

#include <new>

namespace weft::detail {

bool mailbox::post_until(mail& item, phase refused) noexcept {
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
        const std::uint64_t one = 1;
        if (wake_fd_ >= 0) sys::write(wake_fd_, &one, sizeof one);
        else sys::futex_wake(asleep_, 1);
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
}

void mailbox::after_fork() noexcept {
    new (&gate_) small_lock;  // perhaps held by a thread that does not exist here
    newest_.store(nullptr, std::memory_order_relaxed);
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
