/// @file weft/future.hpp
/// A shared handle to an outcome that somebody has promised.  Floor: kit.
#pragma once

#include <concepts>
#include <memory>
#include <stdexcept>
#include <utility>

#include <weft/async_result.hpp>
#include <weft/deadline.hpp>
#include <weft/detail/done_callbacks.hpp>

namespace weft {

/// The outcome of a future whose promise was dropped without one.
class WEFT_API broken_promise : public std::runtime_error {
public:
    broken_promise();
};

namespace detail {
template <class T>
struct future_state {
    async_result<T> result;
    done_callbacks callbacks;
};
[[noreturn]] WEFT_API void names_no_future();
struct future_value;
}  // namespace detail

/// What thread_pool::spawn() returns: copies name the same outcome, as std::shared_future's do. Dropping all of them
/// changes nothing for whoever works on it; an exception that nobody asks for is not reported.
///
/// Order:    as async_result, whose handle this is.
/// Threads:  any handle from any thread, of tasks or not.
/// Lifetime: what get() returns lives as long as a handle to it does.
/// Cancel:   get() and wait() are cancellation points of the caller; what they wait for goes on.
/// gevent:   the AsyncResult of ThreadPool.spawn, and concurrent.futures.Future
template <class T>
class future {
public:
    using result = T;
    using reference = typename async_result<T>::reference;  ///< const T&; T for references, void for void
    using pointer = typename async_result<T>::pointer;      ///< to that; bool for void

    /// Names nothing: every call but the destructor, assignment and operator bool throws std::logic_error.
    future() noexcept = default;

    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

    /// Waits for the outcome and returns the value; may be asked again.
    /// @throws anything        that is the outcome instead: the same object
    /// @throws broken_promise  nobody will set one
    reference get() const { return named().get(); }
    /// @returns null (false) if there was no outcome before the deadline; one already past never parks
    pointer get(deadline by) const { return named().get(by); }
    /// get() that never waits: null (false) if there is no outcome yet.
    pointer try_get() const { return named().try_get(); }

    /// Waits for the outcome, whichever it is, and does not throw it.
    void wait() const { named().wait(); }
    /// @returns ready(): false when the deadline has passed first
    bool wait(deadline by) const { return named().wait(by); }

    bool ready() const { return named().ready(); }            ///< There is an outcome: get() would not wait.
    bool successful() const { return named().successful(); }  ///< It is a value.
    /// The exception; null while there is no outcome, and for a value.
    std::exception_ptr exception() const { return named().exception(); }
    /// The value; null (false) while there is no outcome, and for an exception.
    pointer value() const { return named().value(); }

    /// Has `function(future)` called once there is an outcome: in a new task of the thread that calls this, so that it
    /// may wait; the callbacks of one thread begin in the order in which they were added. If there is an outcome
    /// already, the task is spawned at once. On a plain thread it begins when that waits by weft. If the thread has
    /// ended by then the function is destroyed uncalled. What it throws is reported as unhandled.
    /// gevent: AsyncResult.rawlink, Future.add_done_callback
    template <class F>
        requires std::invocable<F&, const future&>
    void on_done(F function) const {
        struct call final : detail::done_callback {
            explicit call(F&& f) : function{std::move(f)} {}
            void run(const std::shared_ptr<void>& done) override {
                function(future{std::static_pointer_cast<detail::future_state<T>>(done)});
            }
            F function;
        };
        (void)named();
        state_->callbacks.add(std::make_unique<call>(std::move(function)), state_);
    }

    friend bool operator==(const future& a, const future& b) noexcept { return a.state_ == b.state_; }

private:
    template <class>
    friend class promise;
    friend detail::future_value;
    friend struct detail::watch_access;

    explicit future(std::shared_ptr<detail::future_state<T>> state) noexcept : state_{std::move(state)} {}

    const async_result<T>& named() const {
        if (!state_) detail::names_no_future();
        return state_->result;
    }

    std::shared_ptr<detail::future_state<T>> state_;
};

/// The other side: whoever holds it owes the outcome. Moved, not copied; dropped without an outcome it sets
/// broken_promise.
///
/// Threads:  the futures may be anywhere; the promise itself is used by one thread at a time.
/// gevent:   none; C++'s std::promise, whose name this side has
template <class T>
class promise {
public:
    promise() : state_{std::make_shared<detail::future_state<T>>()} {}
    promise(promise&& other) noexcept = default;
    promise& operator=(promise&& other) noexcept {
        promise gone{std::move(*this)};
        state_ = std::move(other.state_);
        return *this;
    }
    ~promise() {
        if (state_ && !state_->result.ready()) set_exception(broken_promise{});
    }

    /// As often as wanted. Like every call, std::logic_error on one that was moved from.
    future<T> get_future() const {
        if (!state_) detail::names_no_future();
        return future<T>{state_};
    }

    /// As those of async_result; callbacks are then on their way to their hubs. None of them waits.
    /// @throws already_set  there is an outcome
    template <class... U>
        requires requires(async_result<T>& r, U&&... value) { r.set(std::forward<U>(value)...); }
    void set(U&&... value) {
        named().set(std::forward<U>(value)...);
        state_->callbacks.complete(state_);
    }
    template <class E>
    void set_exception(E&& error) {
        named().set_exception(std::forward<E>(error));
        state_->callbacks.complete(state_);
    }
    /// Takes over how something has ended that has ready() and get().
    template <class Source>
    void complete_from(const Source& source) {
        named().complete_from(source);
        state_->callbacks.complete(state_);
    }

private:
    async_result<T>& named() {
        if (!state_) detail::names_no_future();
        return state_->result;
    }

    std::shared_ptr<detail::future_state<T>> state_;
};

}  // namespace weft
