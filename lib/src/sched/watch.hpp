// A waiter of somebody who waits for several things.  Floor: sched.
#pragma once

#include <cstddef>

#include "sched/waiter.hpp"

namespace weft::detail {

struct watch;

/// The fiber that waits, whose thread alone touches it.
struct watcher {
    park_token token{};
    watch* first_done = nullptr;  // granted and not asked for yet, in that order
    watch* last_done = nullptr;

    void took(watch& ready) noexcept;
    void await_one(scheduler& sched);
};

struct watch final : waiter {
    watch(thread& t, watcher& of, wait_list& in, std::size_t number) noexcept
        : waiter{t, {t.current, 0}}, list{&in}, index{number} {
        by = &of;
    }

    wait_list* list;
    std::size_t index;
    const void* thing = nullptr;
    void (*left)(const void*) = nullptr;
    watch* next_done = nullptr;
};

}  // namespace weft::detail
