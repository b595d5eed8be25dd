/// @file weft/local.hpp
/// A variable of which each fiber has its own.  Floor: fiber.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <weft/detail/export.hpp>

namespace weft {

namespace detail {

/// Where fibers keep the values of one local. Indices are used again, ids are not.
struct local_key {
    std::uint64_t id;
    std::uint32_t index;
};

/// The value of one local in one fiber; linked by age.
struct local_value {
    explicit local_value(void* value) noexcept : at{value} {}
    virtual ~local_value() = default;
    void* const at;
    local_key key{};
    std::unique_ptr<local_value> older;
};

template <class T>
struct local_holder final : local_value {
    template <class F>
    explicit local_holder(F& make) : local_value{std::addressof(value)}, value(make()) {}
    T value;
};

WEFT_API local_key take_local_key();
WEFT_API void give_local_key(const local_key& key) noexcept;
/// Of the running fiber; null if it has none.
WEFT_NO_STUB WEFT_API void* find_local(const local_key& key) noexcept;
/// Gives it to the running fiber.
WEFT_API void* keep_local(const local_key& key, std::unique_ptr<local_value> made);

}  // namespace detail

/// Like a thread_local variable, for fibers and tasks: each that uses it gets a T of its own. A thread
/// outside of any fiber is its main fiber. Looking it up costs a call and a few loads.
///
/// Order:     made at a fiber's first use; destroyed when the fiber ends, after its function's variables and
///            its captures, the newest first, and before anybody learns that it has ended.
/// Threads:   the variable itself may be used from any; the factory may then run in several at once.
/// Lifetime:  values outlive the local: each lives until its fiber ends. Main's end with the thread, after
///            all other fibers have been unwound; values made in callbacks of the hub after those. exit() in
///            a task leaves the values of its thread alone, as it does the stacks.
/// Ending:    a destructor may wait and switch, nothing is thrown into it, and an exception that leaves it
///            ends the process, as everywhere. It may use locals: one whose value is gone makes a new one,
///            which is destroyed too, so a destructor that always makes its own anew does not come to an end.
/// gevent:    gevent.local.local
template <class T>
class local {
public:
    /// Values are value-initialised.
    local()
        requires std::default_initializable<T>
        : local{[] { return T(); }} {}
    /// Values are what `factory()` returns, called in the fiber that needs one. What it throws comes out of
    /// get().
    template <class F>
        requires(!std::same_as<F, local>) && std::invocable<F&> &&
                (std::same_as<std::invoke_result_t<F&>, T> || std::convertible_to<std::invoke_result_t<F&>, T>)
    explicit local(F factory)
        : make_{[f = std::move(factory)]() mutable {
              return std::make_unique<detail::local_holder<T>>(f);
          }} {}

    local(const local&) = delete;
    local& operator=(const local&) = delete;
    ~local() { detail::give_local_key(key_); }

    /// The running fiber's value, made if there is none. The reference is good until the fiber ends.
    /// @throws std::bad_alloc, and what the factory throws  there is still none
    T& get() {
        void* at = detail::find_local(key_);
        if (!at) [[unlikely]]
            at = detail::keep_local(key_, make_());
        return *static_cast<T*>(at);
    }
    T& operator*() { return get(); }
    T* operator->() { return std::addressof(get()); }

    /// The running fiber's value, or null if it has none yet.
    T* find() const noexcept { return static_cast<T*>(detail::find_local(key_)); }

private:
    const detail::local_key key_ = detail::take_local_key();
    std::function<std::unique_ptr<detail::local_value>()> make_;
};

}  // namespace weft
