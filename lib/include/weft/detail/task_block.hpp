/// @file weft/detail/task_block.hpp
/// What a task's handles share.  Floor: sched.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/end_block.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

struct task_block;

/// Told once when a task has ended, in the fiber that ends: runs nothing of the user's and does not wait.
struct end_hook {
    virtual void ended(task_block& task) noexcept = 0;
    /// In a forked child, where the task is not: it is neither ended nor told of.
    virtual void forked() noexcept {}
    end_hook* next = nullptr;

protected:
    ~end_hook() = default;
};

/// Calls of the user's when a task has ended; posted to the hub of the thread that has asked for them.
struct WEFT_API link_call : end_hook, mail {
    enum class when : std::uint8_t { ended, returned, failed };

    link_call(when condition, bool in_hub);
    virtual ~link_call();
    virtual void run() = 0;

    const std::uint64_t id;

private:
    void ended(task_block& task) noexcept override;
    void arrive() noexcept override;

    mailbox* home_;  // counted
    handle<task_block> task_;  // from its end on: it is kept until the call is made
    when condition_;
    bool in_hub_;
    bool wanted_ = false;
};

struct joiner;

/// The end block of a task. Its end takes no lock, nor exchanges anything atomically, for nobody: it wakes joiners_here,
/// which is its own thread's, and looks for others only once they are announced.
struct WEFT_API task_block : end_block {
    task_block() noexcept : end_block{false} {}
    ~task_block() override {
        if (error) [[unlikely]] report_unless_observed();
    }

    std::exception_ptr error;             // why it ended, readable once state is dead
    bool was_killed = false;              // ended by fiber_exit
    bool killed_with_reason = false;      // ended by what a kill has thrown instead
    std::atomic<bool> observed{false};    // somebody asked for the error
    std::atomic<bool> announced{false};   // never taken back
    joiner* first_here = nullptr;         // fibers of its thread in join(), in order
    joiner* last_here = nullptr;
    end_hook* hooks = nullptr;            // in the order in which they were added; guarded by joiners
    wait_list joiners;                    // all other waiters

    bool has_ended() const noexcept { return state.load(std::memory_order_acquire) == phase::dead; }
    bool join(deadline by) { return has_ended() || join_living(by); }
    bool kill(deadline by, std::exception_ptr reason = nullptr);
    std::exception_ptr failure() noexcept;  // null but after an error; asking is observing
    void rethrow_unless_successful();       // after join()
    void join_or_throw();                   // for get(): there is a value afterwards

    /// As detail::take_stack(); start() then needs nothing that could fail for good.
    void* take_stack(const fiber_options* options, std::size_t size, std::size_t align);
    void start();

    /// Before somebody puts himself into joiners or hooks.
    void announce() noexcept {
        if (!announced.load(std::memory_order_acquire)) announce_first();
    }
    /// It is dead: wakes the joiners, and tells the hooks.
    void wake_joiners() noexcept;
    void tell_of_end() noexcept;

    /// @returns false if it has ended already: the hook is not taken
    bool add(end_hook& hook) noexcept;
    /// @returns whether it was there
    bool take_out(end_hook& hook) noexcept;

    /// @returns the call's id
    std::uint64_t link(std::unique_ptr<link_call> call) noexcept;
    bool unlink(std::uint64_t id) noexcept;
    void unlink_all() noexcept;

private:
    // From another thread to the owner, once at most; holds a reference while under way.
    struct announcement final : mail {
        void arrive() noexcept override;
        task_block* to = nullptr;
    };

    void announce_first() noexcept;
    void report_unless_observed() noexcept;
    bool join_living(deadline by);
    bool join_here(deadline by);
    bool join_elsewhere(deadline by);

    announcement letter_;
};

template <class T>
struct task_result : task_block {
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;
    bool harmless() const noexcept override { return !error && std::is_trivially_destructible_v<stored>; }

    std::optional<stored> value;
};
template <>
struct task_result<void> : task_block {
    bool harmless() const noexcept override { return !error; }
};

/// What get() with a deadline, and value(), point to.
template <class T>
auto pointer_to_result(const task_result<T>& block) noexcept {
    if constexpr (std::is_void_v<T>) return true;
    else if constexpr (std::is_reference_v<T>) return *block.value;
    else return std::addressof(*block.value);
}
template <class T>
using result_pointer =
    std::conditional_t<std::is_void_v<T>, bool,
                       std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, std::add_pointer_t<std::add_const_t<T>>>>;

template <class T, class F, class... A>
class task_body final : public body {
public:
    template <class G, class... B>
    explicit task_body(task_result<T>& result, G&& function, B&&... args)
        : body{destroyer<task_body, (std::is_trivially_destructible_v<F> && ... && std::is_trivially_destructible_v<A>)>()},
          result_{result}, function_{std::forward<G>(function)}, args_{std::forward<B>(args)...} {}

    void run(message&, message&) override {
        const auto call = [this]() -> decltype(auto) {
            return std::apply([this](A&... args) -> decltype(auto) {
                return std::invoke(std::move(function_), std::move(args)...);
            }, args_);
        };
        if constexpr (std::is_void_v<T>) call();
        else if constexpr (std::is_reference_v<T>) result_.value = &call();
        else result_.value.emplace(call());
    }

private:
    task_result<T>& result_;
    F function_;
    std::tuple<A...> args_;
};

template <class F, class... A>
using spawned_t = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;

/// How every task comes into being. Block is derived from task_result.
/// @param options  null for the usual ones
template <class Block, class F, class... A>
handle<Block> make_task(handle<Block> block, const fiber_options* options, F&& function, A&&... args) {
    using body = task_body<spawned_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    void* const room = block->take_stack(options, sizeof(body), alignof(body));
    fill<body>(*block, room, *block, std::forward<F>(function), std::forward<A>(args)...);
    block->start();
    return block;
}

}  // namespace weft::detail
