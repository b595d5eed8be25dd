/// @file weft/detail/group_core.hpp
/// Who belongs to a group, and what becomes of the group when one of them ends.  Floor: kit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

#include <weft/deadline.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/task.hpp>

namespace weft::detail {

class group_core;

/// In the end block of a task that a group has spawned; of one that was added, on the heap.
struct WEFT_API member final : end_hook {
    void ended(task_block& task) noexcept override;
    void forked() noexcept override;

    group_core* of = nullptr;
    task_block* task = nullptr;
    member* prev = nullptr;
    member* next_member = nullptr;
    bool has_permit = false;  // of a pool
    bool added = false;
};

template <class T>
struct member_result : task_result<T> {
    member membership;
};

/// Guarded by the lock of its wait list. A member that has left it does not touch it any more.
class WEFT_API group_core {
public:
    enum class on_error : std::uint8_t { goes_on, kills_siblings };

    explicit group_core(on_error policy) noexcept : policy_{policy} {}
    group_core(const group_core&) = delete;
    group_core& operator=(const group_core&) = delete;
    virtual ~group_core() = default;

    void enter(member& who, task_block& task) noexcept;
    /// @returns false if it is a member already
    bool add(task_block& task);
    /// @returns whether it was added
    bool discard(const task_block& task) noexcept;
    bool contains(const task_block& task) const noexcept;

    /// @returns whether all have left by then. @throws what interrupts the caller
    bool join(deadline by);
    /// The end of the scope: waits for all; if that cannot be, or an exception leaves the scope, kills them first.
    /// @throws what interrupts the caller
    void leave();
    bool left_by_exception() const noexcept { return std::uncaught_exceptions() > in_flight_; }
    /// Those that come later are killed as they come.
    void kill_others(const std::exception_ptr& reason) noexcept;
    std::size_t size() const noexcept;

    /// The running task is a member.
    bool has_caller() noexcept { return mine(); }

    /// In the order in which they came; those that come later are new.
    std::vector<std::exception_ptr> failures() const;
    /// The first failure, once. @returns null if there is none or it has been taken
    std::exception_ptr take_first_failure() noexcept;
    bool failed() const noexcept;
    /// Tells on_unhandled of failures that nobody has seen.
    void report_others() noexcept;

    /// Members that cannot be waited for, since the thread ends, are members no more.
    void disband() noexcept;

protected:
    /// Under the lock, when a member that has a permit leaves.
    virtual void give_back_permit() noexcept {}
    /// @returns false if it is no member
    bool give_permit_to_caller() noexcept;
    /// @returns whether it had one
    bool take_permit_of_caller() noexcept;
    /// Those that come are not killed any more.
    void reopen() noexcept;

private:
    friend struct member;
    void kill_all_but(const task_block* spared, const std::exception_ptr& reason) noexcept;
    void keep(const task_block& failed) noexcept;
    void strike(member& who) noexcept;
    void end_members() noexcept;
    void join_all_the_same() noexcept;
    member* mine() noexcept;  // the running task's place; null if it has none
    member* place_of(const end_block* task) const noexcept;

    mutable wait_list waiters_;  // those in join()
    member* first_ = nullptr;
    member* last_ = nullptr;
    std::size_t count_ = 0;
    const on_error policy_;
    const int in_flight_ = std::uncaught_exceptions();
    bool killed_ = false;
    bool taken_ = false;            // the first failure
    mutable std::size_t seen_ = 0;  // of failures_, by the program
    std::vector<std::exception_ptr> failures_;
};

/// How each comes into being. @param has_permit  it gives one back as it leaves
template <class F, class... A>
task<spawned_t<F, A...>> spawn_member(group_core& group, bool has_permit, const fiber_options& options, F&& function,
                                      A&&... args) {
    using result = spawned_t<F, A...>;
    auto* const block = new member_result<result>;
    handle<task_result<result>> made{block};
    made = make_task(std::move(made), &options, std::forward<F>(function), std::forward<A>(args)...);
    block->membership.has_permit = has_permit;
    group.enter(block->membership, *block);
    return task_access::make(std::move(made));
}

}  // namespace weft::detail
