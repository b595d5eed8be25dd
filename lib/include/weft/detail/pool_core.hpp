/// @file weft/detail/pool_core.hpp
/// The room in a pool, and who has it.  Floor: kit.
#pragma once

#include <cstddef>
#include <exception>
#include <utility>

#include <weft/detail/group_core.hpp>
#include <weft/semaphore.hpp>

namespace weft::detail {

class WEFT_API pool_core final : public group_core {
public:
    explicit pool_core(std::size_t size);

    bool take_room(deadline by) { return room_.try_acquire_until(by); }
    void give_room() noexcept { room_.release(); }
    /// For a member that has none yet.
    void take_room_here();
    /// The running member's. @returns whether it had any
    bool lend_room() noexcept;
    void take_back_room() noexcept;

    bool kill(deadline by);
    bool wait_available(deadline by);
    std::size_t free_count() const noexcept { return room_.available(); }

private:
    void give_back_permit() noexcept override { give_room(); }

    semaphore room_;
};

/// Room that nobody has yet.
class room_taken {
public:
    explicit room_taken(pool_core& in) noexcept : in_{&in} {}
    ~room_taken() {
        if (in_) in_->give_room();
    }
    room_taken(const room_taken&) = delete;
    room_taken& operator=(const room_taken&) = delete;

    /// A member gives it back.
    void passed() noexcept { in_ = nullptr; }

private:
    pool_core* in_;
};

/// Waits for room whoever the caller is. @returns a handle that names no task if there was none by then
template <class F, class... A>
task<spawned_t<F, A...>> spawn_with_room(pool_core& core, deadline by, F&& function, A&&... args) {
    if (!core.take_room(by)) return {};
    room_taken room{core};
    auto started = spawn_member(core, true, fiber_options{}, std::forward<F>(function), std::forward<A>(args)...);
    room.passed();
    return started;
}

/// Kills what feeds an imap, and waits for its end, whatever comes: it uses the pool.
WEFT_API void end_of_feeder(const task<void>& feeder) noexcept;

/// A member that waits for others of its pool does without its room meanwhile.
class room_lent {
public:
    explicit room_lent(pool_core& in) noexcept : in_{in.lend_room() ? &in : nullptr} {}
    ~room_lent() {
        if (in_) in_->take_back_room();
    }
    room_lent(const room_lent&) = delete;
    room_lent& operator=(const room_lent&) = delete;

private:
    pool_core* in_;
};

}  // namespace weft::detail
