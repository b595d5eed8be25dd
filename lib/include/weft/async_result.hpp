/// @file weft/async_result.hpp
/// A value or an exception that somebody will set, once.  Floor: sync.
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <weft/deadline.hpp>
#include <weft/detail/result_core.hpp>

namespace weft {

/// One outcome, for as many to wait for and to read as like: a value, or an exception that get() rethrows. T may be
/// move-only, an lvalue reference or void.
///
/// Order:     the outcome wakes all waiters, longest wait first.
/// Threads:   any task of any hub and any plain OS thread may call anything at any time; a callback of the hub may
///            set it and look at it. References that get() returns are shared: whoever changes what they name
///            must see to that.
/// Lifetime:  must outlive its waiters; destroying it while somebody waits aborts. Whoever knows of the outcome may
///            destroy it at once, while the call that set it is on its way out.
/// Cancel:    wait() and get() are cancellation points; nothing is taken, so nothing is lost.
/// gevent:    gevent.event.AsyncResult, which lets a second outcome overwrite the first. An exception that nobody
///            asks for is not reported, as there.
template <class T>
class async_result : private detail::result_core {
    static_assert(!std::is_rvalue_reference_v<T>, "an outcome is read more than once: it cannot be an rvalue");

public:
    using result = T;
    using reference = typename detail::result_of<T>::reference;  ///< const T&; T for references, void for void
    using pointer = typename detail::result_of<T>::pointer;      ///< to that; bool for void

    /// Sets the value and wakes everybody; never waits and does not switch.
    /// @throws already_set  there is an outcome, or somebody is just setting it; nothing has changed
    /// @throws anything     that making the T throws: there is no outcome then, and another may be set
    template <class U = T>
        requires(!std::is_void_v<T> && detail::sets<T, U>)
    void set(U&& value) {
        claim();
        store_or_unclaim(std::forward<U>(value));
    }
    void set()
        requires std::is_void_v<T>
    {
        claim();
        publish();
    }

    /// Sets an exception, or a copy of anything that can be thrown.
    /// @throws already_set  as set()
    /// @throws std::invalid_argument  a null exception_ptr
    void set_exception(std::exception_ptr error) { set_error(std::move(error)); }
    template <class E>
        requires(!std::convertible_to<E, std::exception_ptr> && std::copy_constructible<std::decay_t<E>>)
    void set_exception(E&& error) {
        set_error(std::make_exception_ptr<std::decay_t<E>>(std::forward<E>(error)));
    }

    /// Takes over how something has ended: a task, a future, another async_result. A task that was killed gives
    /// task_killed, and an error while its value is copied becomes the outcome. For links, that is what calling this
    /// as a function does, too: task.link(std::ref(result)).
    /// @throws already_set       as set()
    /// @throws std::logic_error  it has not ended yet
    template <class Source>
        requires requires(const Source& source) { source.ready(), source.get(); }
    void complete_from(const Source& source) {
        if (!source.ready())
            throw std::logic_error("weft: complete_from() something that has not ended; join or wait for it first");
        claim();
        try {
            if constexpr (std::is_void_v<T>) source.get();
            else store(source.get());
        } catch (...) {
            publish_error(std::current_exception());
            return;
        }
        publish();
    }
    template <class Source>
        requires requires(const Source& source) { source.ready(), source.get(); }
    void operator()(const Source& source) {
        complete_from(source);
    }

    /// Waits for the outcome and returns the value, which stays where it is: the reference is good for as long as this.
    /// @throws anything    that was set as the exception: the same object
    /// @throws fiber_exit  the calling task was killed while it waited; also from a destructor that runs while the
    ///                     thread ends, since there is nothing to return
    reference get() const {
        wait_or_throw();
        rethrow_error();
        if constexpr (!std::is_void_v<T>) return *address();
    }
    /// @returns a pointer to the value (true for void); null (false) if there was no outcome before the deadline. One
    ///          that has already passed never parks.
    /// @throws  as get()
    pointer get(deadline by) const {
        if (!result_core::wait(by)) return {};
        rethrow_error();
        return address();
    }
    /// get() that does not wait: may be called where nothing may wait.
    /// @returns null (false) if there is no outcome yet
    /// @throws  anything that was set as the exception
    /// gevent: get_nowait, which raises Timeout instead
    pointer try_get() const { return ready() ? get(deadline::past()) : pointer{}; }

    /// Waits for the outcome, whichever it is, and never throws an exception that was set.
    /// @throws fiber_exit  the calling task was killed while it waited
    void wait() const { (void)result_core::wait(deadline::never()); }
    /// @returns ready(): false when the deadline has passed first
    bool wait(deadline by) const { return result_core::wait(by); }

    using result_core::ready;       ///< There is an outcome: get() would not wait.
    using result_core::successful;  ///< It is a value.
    using result_core::exception;   ///< The exception; null while there is no outcome, and for a value.
    /// The value; null (false) while there is no outcome, and for an exception.
    pointer value() const noexcept { return successful() ? address() : pointer{}; }

private:
    friend struct detail::watch_access;

    template <class U>
    void store(U&& value) {
        if constexpr (std::is_reference_v<T>) value_.emplace(std::addressof(value));
        else value_.emplace(std::forward<U>(value));
    }
    template <class U>
    void store_or_unclaim(U&& value) {
        try {
            store(std::forward<U>(value));
        } catch (...) {
            unclaim();
            throw;
        }
        publish();
    }
    pointer address() const noexcept {
        if constexpr (std::is_void_v<T>) return true;
        else if constexpr (std::is_reference_v<T>) return *value_;
        else return std::addressof(*value_);
    }

    std::optional<typename detail::result_of<T>::stored> value_;  // its claimer's, then constant
};

}  // namespace weft
