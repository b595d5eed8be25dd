/// @file weft/hub.hpp
/// The loop of a thread.  Floor: hub.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>

extern "C" {
struct uv_loop_s;
}

namespace weft {

namespace detail {
class mailbox;
struct posted {
    virtual ~posted() = default;
    virtual void run() = 0;
};
}  // namespace detail

/// A handle to a thread's hub: the fiber that takes in posts, deadlines and descriptors whenever no task is
/// ready, and at least once a millisecond of ready work. It comes into being at the first wait or spawn of
/// a thread and ends with it.
///
/// Threads:   post() from any; copies may be kept anywhere and outlive the thread.
/// Callbacks: what is posted, and callbacks of the user's own libuv handles, run on the hub's fiber. A wait
///            there throws blocking_in_hub: spawn a task instead. An exception that leaves a posted
///            function is reported as unhandled; one that leaves a libuv callback ends the process.
/// gevent:    gevent.hub.Hub
class WEFT_API hub {
public:
    /// This thread's.
    static hub current();

    hub(const hub& other) noexcept;
    hub& operator=(const hub& other) noexcept;
    ~hub();

    /// Has the hub call `function` once, soon, in the order of the posts of one thread.
    /// @returns false if the thread has ended: the function is destroyed uncalled, as one is that was posted
    ///          but not reached when the thread ends
    /// gevent: loop.run_callback_threadsafe
    template <class F>
    bool post(F&& function) const {
        struct call final : detail::posted {
            explicit call(F&& f) : function{std::forward<F>(f)} {}
            void run() override { function(); }
            std::decay_t<F> function;
        };
        return post_call(std::make_unique<call>(std::forward<F>(function)));
    }

    /// Waits until no task of the thread is left, but those that wait here themselves; tasks that are spawned meanwhile
    /// count. A cancellation point. @returns true; false if the deadline passed first
    /// @throws wrong_thread  called on another thread
    /// gevent: hub.join, gevent.wait() without objects
    bool join(deadline by = deadline::never()) const;

    /// The thread's libuv loop, made at the first call, for handles of the user's own. The hub turns it; nobody
    /// else may. Close every handle before the thread ends.
    /// @throws wrong_thread       called on another thread
    /// @throws std::system_error  libuv cannot make a loop
    uv_loop_s* loop() const;

private:
    explicit hub(detail::mailbox& box) noexcept;
    bool post_call(std::unique_ptr<detail::posted> call) const;

    detail::mailbox* box_;  // counted
};

}  // namespace weft
