/// @file weft/detail/result_core.hpp
/// The part of an async_result that does not depend on its type.  Floor: sync.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <type_traits>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// An async_result was set a second time; the first outcome stands.
class WEFT_API already_set : public std::logic_error {
public:
    already_set();
};

namespace detail {

/// An outcome without its value, and who waits for it.
class WEFT_API result_core {
public:
    result_core() noexcept = default;
    result_core(const result_core&) = delete;
    result_core& operator=(const result_core&) = delete;

    bool wait(deadline by) const;
    void set_error(std::exception_ptr error);
    bool ready() const noexcept { return stage_.load(std::memory_order_acquire) >= stage::has_value; }
    bool successful() const noexcept { return stage_.load(std::memory_order_acquire) == stage::has_value; }
    std::exception_ptr exception() const noexcept;

protected:
    void wait_or_throw() const;     // until ready(), or throws
    void rethrow_error() const {    // once ready()
        if (!successful()) std::rethrow_exception(error_);
    }
    // Claimed, it is its claimer's alone to store into, without the lock: what is stored may run any code. Then one
    // of the other three.
    void claim();
    void unclaim() noexcept { stage_.store(stage::unset, std::memory_order_release); }
    void publish() noexcept { publish(stage::has_value); }
    void publish_error(std::exception_ptr error) noexcept;

private:
    friend watch_access;
    bool watch_ready() const noexcept { return ready(); }

    enum class stage : std::uint8_t { unset, claimed, has_value, has_error };

    void publish(stage outcome) noexcept;

    std::atomic<stage> stage_{stage::unset};  // becomes has_value or has_error under waiters_' lock
    std::exception_ptr error_;                // constant once has_error
    mutable wait_list waiters_;
};

// How a T is kept, what get() returns, and what it returns with a deadline.
template <class T>
struct result_of {
    using stored = T;
    using reference = const T&;
    using pointer = const T*;
};
template <class T>
struct result_of<T&> {
    using stored = T*;
    using reference = T&;
    using pointer = T*;
};
template <>
struct result_of<void> {
    struct stored {};
    using reference = void;
    using pointer = bool;
};

// What a T can be made of; a reference not of something that would be gone.
template <class T, class U>
concept sets = (!std::is_reference_v<T> && std::is_constructible_v<T, U>) ||
               (std::is_reference_v<T> && std::is_lvalue_reference_v<U &&> &&
                std::is_convertible_v<std::remove_reference_t<U>*, std::remove_reference_t<T>*>);

}  // namespace detail

}  // namespace weft
