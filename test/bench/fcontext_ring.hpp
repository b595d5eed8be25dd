/// @file fcontext_ring.hpp
/// Bare Boost.Context jumps: the baselines of the switch and spawn benchmarks.
///
/// The ping-pong is the figure that is usually quoted. The ring adds what any scheduler adds, a queue and a
/// function around the jump, and nothing else.
#pragma once

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <system_error>
#include <vector>

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "bench.hpp"

namespace bench {

namespace fcontext = boost::context::detail;

/// Stacks in one mapping. The stride is an odd number of pages and the tops are staggered, so that their
/// frames do not compete for the same cache sets.
class stack_block {
public:
    explicit stack_block(std::size_t count) : size_{count * stride} {
        constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void* place = mmap(nullptr, size_, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (place == MAP_FAILED) {
            throw std::system_error{errno, std::generic_category(), "mmap of the benchmark's stacks"};
        }
        base_ = static_cast<std::byte*>(place);
    }
    ~stack_block() { munmap(base_, size_); }

    stack_block(const stack_block&) = delete;
    stack_block& operator=(const stack_block&) = delete;

    /// The address that stack `index` grows down from.
    void* top(std::size_t index) const noexcept { return base_ + (index + 1) * stride - (index % 16) * 128; }

    /// What every stack has below its top.
    static constexpr std::size_t usable = 60 * 1024;

private:
    static constexpr std::size_t stride = 17 * 4096;

    std::byte* base_;
    std::size_t size_;
};

/// Two contexts that do nothing but jump to each other.
/// @returns CPU ns per jump
inline double fcontext_ping_pong(long jumps) {
    auto other_side = [](fcontext::transfer_t from) {
        for (;;) {
            from = fcontext::jump_fcontext(from.fctx, nullptr);
        }
    };
    stack_block stack{1};
    fcontext::transfer_t there{fcontext::make_fcontext(stack.top(0), stack_block::usable, other_side),
                               nullptr};
    auto round_trips = [&](long count) {
        for (; count > 0; --count) {
            there = fcontext::jump_fcontext(there.fctx, nullptr);
        }
    };
    round_trips(1000);
    const double start = cpu_ns();
    round_trips(jumps / 2);
    return (cpu_ns() - start) / static_cast<double>(jumps / 2 * 2);
}

/// Contexts that hand over in turn, first come, first served.
template <unsigned Frames>
class fcontext_ring {
public:
    explicit fcontext_ring(std::size_t members) : stacks_{members}, members_(members) {
        for (std::size_t i = 0; i < members; ++i) {
            members_[i].context = fcontext::make_fcontext(stacks_.top(i), stack_block::usable, body);
            append(&members_[i]);
        }
    }

    /// Runs the ring once; its contexts are abandoned where they stand.
    /// @returns CPU ns per hand-over, over `switches` of them
    double run(long switches) {
        laps_ = std::max(1L, switches / static_cast<long>(members_.size()));
        active_ = this;
        member home{};
        home_ = &home;
        running_ = take();
        fcontext::jump_fcontext(running_->context, &home);
        return spent_ns_ / (static_cast<double>(laps_) * static_cast<double>(members_.size()));
    }

private:
    struct member {
        fcontext::fcontext_t context = nullptr;
        member* next = nullptr;
    };

    void append(member* m) noexcept {
        m->next = nullptr;
        if (head_ != nullptr) {
            tail_->next = m;
        } else {
            head_ = m;
        }
        tail_ = m;
    }

    member* take() noexcept {
        member* m = head_;
        head_ = m->next;
        return m;
    }

    static void came_from(fcontext::transfer_t from) noexcept {
        static_cast<member*>(from.data)->context = from.fctx;
    }

    [[gnu::noinline]] static void yield() {
        fcontext_ring& ring = *active_;
        member* me = ring.running_;
        member* next = ring.take();
        ring.append(me);
        ring.running_ = next;
        came_from(fcontext::jump_fcontext(next->context, me));
    }

    // One loop for all, so that every member parks below the same call site.
    [[gnu::noinline]] static void spin(long laps) {
        for (; laps > 0; --laps) {
            down<Frames>(yield);
        }
    }

    static void body(fcontext::transfer_t from) {
        came_from(from);
        fcontext_ring& ring = *active_;
        if (ring.running_ != &ring.members_.front()) {
            spin(LONG_MAX);
        }
        spin(std::max(3L, 2000 / static_cast<long>(ring.members_.size())));
        const double start = cpu_ns();
        spin(ring.laps_);
        ring.spent_ns_ = cpu_ns() - start;
        fcontext::jump_fcontext(ring.home_->context, ring.home_);
    }

    static inline fcontext_ring* active_ = nullptr;

    stack_block stacks_;
    std::vector<member> members_;
    member* head_ = nullptr;
    member* tail_ = nullptr;
    member* running_ = nullptr;
    member* home_ = nullptr;
    long laps_ = 0;
    double spent_ns_ = 0;
};

/// Makes contexts that end at once, runs each to its end and uses its stack again.
class fcontext_pool {
public:
    explicit fcontext_pool(std::size_t most) : stacks_{most} {
        for (std::size_t i = most; i > 0; --i) {
            free_.push_back(stacks_.top(i - 1));
        }
        ready_.reserve(most);
    }

    void spawn() {
        void* top = free_.back();
        free_.pop_back();
        ready_.push_back({top, fcontext::make_fcontext(top, stack_block::usable, body)});
    }

    void run_all() {
        for (const made& next : ready_) {
            fcontext::jump_fcontext(next.context, nullptr);
            free_.push_back(next.top);
        }
        ready_.clear();
    }

private:
    struct made {
        void* top;
        fcontext::fcontext_t context;
    };

    static void body(fcontext::transfer_t from) { fcontext::jump_fcontext(from.fctx, nullptr); }

    stack_block stacks_;
    std::vector<void*> free_;
    std::vector<made> ready_;
};

}  // namespace bench
