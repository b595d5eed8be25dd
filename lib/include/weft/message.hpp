/// @file weft/message.hpp
/// The values that travel with a switch.  Floor: fiber.
#pragma once

#include <cstddef>
#include <new>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/error.hpp>

namespace weft {

namespace detail {

/// How a value travels: decayed; a string literal as std::string, since nobody can say how long an array lives.
template <class T>
using sent_t = std::conditional_t<std::is_array_v<std::remove_reference_t<T>> &&
                                      std::is_same_v<std::remove_cv_t<std::remove_extent_t<std::remove_reference_t<T>>>, char>,
                                  std::string, std::decay_t<T>>;

/// What a message knows of the tuple that it holds.
struct message_kind {
    std::size_t count;
    const std::type_info* const* types;  // `count` of them
    void (*move)(void* to, void* from) noexcept;  // and destroys `from`
    void (*destroy)(void* at) noexcept;
};

[[noreturn]] WEFT_API void throw_bad_message(const message_kind* held, const std::type_info* const* wanted,
                                             std::size_t wanted_count);

}  // namespace detail

/// Nothing, one value or several, owned; what switch_to() sends and returns.
///
/// Types:     decayed as std::make_tuple does; string literals become std::string. A type must be asked for
///            exactly as it was sent: no conversions. Move-only values travel. References do not, at compile
///            time; send a pointer or std::ref.
/// Copies:    none beyond the one into the message; taking a value out moves it. A message of up to three
///            words lies in place, a larger one is allocated once and moves as a pointer.
/// Lifetime:  each value is destroyed exactly once: by the receiver, or with the message if nobody took it.
/// greenlet:  the return value of switch(): () for none, the object for one, a tuple for several
class WEFT_API message {
public:
    message() noexcept = default;
    message(message&& other) noexcept { take_from(other); }
    message& operator=(message&& other) noexcept {
        if (this != &other) {
            clear();
            take_from(other);
        }
        return *this;
    }
    message(const message&) = delete;
    message& operator=(const message&) = delete;
    ~message() { clear(); }

    /// A message of these values. Throws what copying or moving them throws, or std::bad_alloc.
    template <class... A>
    static message of(A&&... values);

    /// No value inside, or all taken out.
    bool empty() const noexcept { return !kind_; }
    std::size_t size() const noexcept { return kind_ ? kind_->count : 0; }

    /// Moves the only value out; the message is then empty.
    /// @throws bad_message  it does not hold exactly one T; the text names both sides, nothing is lost
    template <class T>
    T as();

    /// Moves all values out; the message is then empty.
    /// @throws bad_message  it does not hold exactly these types in this order; nothing is lost
    template <class... T>
    std::tuple<T...> get();

    /// Whether get<T...>() would succeed.
    template <class... T>
    bool holds() const noexcept;

private:
    static constexpr std::size_t room = 3 * sizeof(void*);

    template <class Tuple>
    static constexpr bool in_place =
        sizeof(Tuple) <= room && alignof(Tuple) <= alignof(void*) && std::is_nothrow_move_constructible_v<Tuple>;

    template <class... T>
    struct kind_of;

    template <class... T>
    std::tuple<T...>* locate() noexcept;

    void take_from(message& other) noexcept {
        kind_ = std::exchange(other.kind_, nullptr);
        if (kind_) kind_->move(&room_, &other.room_);
    }
    void clear() noexcept {
        if (kind_) std::exchange(kind_, nullptr)->destroy(&room_);
    }

    alignas(void*) std::byte room_[room];  // the tuple, or a pointer to it; live only while kind_ is set
    const detail::message_kind* kind_ = nullptr;
};

template <class... T>
struct message::kind_of {
    static_assert((!std::is_reference_v<T> && ...), "a message holds values: send a pointer or std::ref instead");

    using tuple = std::tuple<T...>;
    static constexpr const std::type_info* types[sizeof...(T) + 1] = {&typeid(T)..., nullptr};

    static void move(void* to, void* from) noexcept {
        if constexpr (in_place<tuple>) {
            ::new (to) tuple(std::move(*static_cast<tuple*>(from)));
            static_cast<tuple*>(from)->~tuple();
        } else {
            ::new (to) tuple*(*static_cast<tuple**>(from));
        }
    }
    static void destroy(void* at) noexcept {
        if constexpr (in_place<tuple>) static_cast<tuple*>(at)->~tuple();
        else delete *static_cast<tuple**>(at);
    }
    static constexpr detail::message_kind kind{sizeof...(T), types, move, destroy};
};

template <class... A>
message message::of(A&&... values) {
    using tuple = std::tuple<detail::sent_t<A>...>;
    message m;
    if constexpr (sizeof...(A) > 0) {
        if constexpr (in_place<tuple>) ::new (static_cast<void*>(&m.room_)) tuple(std::forward<A>(values)...);
        else ::new (static_cast<void*>(&m.room_)) tuple*(new tuple(std::forward<A>(values)...));
        m.kind_ = &kind_of<detail::sent_t<A>...>::kind;
    }
    return m;
}

template <class... T>
bool message::holds() const noexcept {
    if (size() != sizeof...(T)) return false;
    if constexpr (sizeof...(T) > 0) {
        if (kind_ == &kind_of<T...>::kind) return true;
        // The same types may have another table in another shared library.
        for (std::size_t i = 0; i < sizeof...(T); ++i)
            if (*kind_->types[i] != *kind_of<T...>::types[i]) return false;
    }
    return true;
}

template <class... T>
std::tuple<T...>* message::locate() noexcept {
    using tuple = std::tuple<T...>;
    if constexpr (in_place<tuple>) return std::launder(reinterpret_cast<tuple*>(&room_));
    else return *std::launder(reinterpret_cast<tuple**>(&room_));
}

template <class... T>
std::tuple<T...> message::get() {
    if (!holds<T...>()) detail::throw_bad_message(kind_, kind_of<T...>::types, sizeof...(T));
    if constexpr (sizeof...(T) == 0) {
        return {};
    } else {
        message taken = std::move(*this);  // destroyed with its emptied values on the way out
        return std::move(*taken.locate<T...>());
    }
}

template <class T>
T message::as() {
    return std::get<0>(get<T>());
}

}  // namespace weft
