/// @file weft/message.hpp
/// The values that travel with a switch.  Floor: fiber.
#pragma once

#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
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

/// Whose move is a copy of its bytes, and runs nothing of the user's.
template <class T>
inline constexpr bool moves_as_bytes = std::is_trivially_copyable_v<T>;
template <class T>
inline constexpr bool moves_as_bytes<std::unique_ptr<T>> = true;
template <class T>
inline constexpr bool moves_as_bytes<std::shared_ptr<T>> = true;
template <>
inline constexpr bool moves_as_bytes<std::exception_ptr> = true;

/// What a message knows of the tuple that it holds.
struct message_kind {
    std::size_t count;
    const std::type_info* const* types;  // `count` of them
    void (*destroy)(void* at) noexcept;  // null where there is nothing to do
};

[[noreturn]] WEFT_API void throw_bad_message(const message_kind* held, const std::type_info* const* wanted,
                                             std::size_t wanted_count);

}  // namespace detail

/// Nothing, one value or several, owned; what switch_to() sends and returns.
///
/// Types:     decayed as std::make_tuple does; string literals become std::string. A type must be asked for
///            exactly as it was sent: no conversions. Move-only values travel. References do not, at compile
///            time; send a pointer or std::ref.
/// Copies:    none beyond the one into the message; taking a value out moves it. Up to three words of plain data,
///            std::unique_ptr or std::shared_ptr lie in place; all else is allocated once. The values themselves
///            do not move with the message, so their moves may do anything, even switch.
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

    template <class... T>
    static constexpr bool in_place =
        sizeof(std::tuple<T...>) <= room && alignof(std::tuple<T...>) <= alignof(void*) && (detail::moves_as_bytes<T> && ...);

    template <class... T>
    struct kind_of;

    /// Destroys the emptied values once they have been moved out, or have thrown on the way.
    struct emptier {
        message& of;
        ~emptier() { of.clear(); }
    };

    template <class... T>
    std::tuple<T...>* locate() noexcept;

    void take_from(message& other) noexcept {
        kind_ = std::exchange(other.kind_, nullptr);
        if (kind_) std::memcpy(&room_, &other.room_, room);
    }
    void clear() noexcept {
        if (kind_) destroy_values();
    }
    void destroy_values() noexcept {
        const auto destroy = std::exchange(kind_, nullptr)->destroy;
        if (destroy) destroy(&room_);
    }

    alignas(void*) std::byte room_[room];  // the tuple, or a pointer to it; live only while kind_ is set
    const detail::message_kind* kind_ = nullptr;
};

template <class... T>
struct message::kind_of {
    static_assert((!std::is_reference_v<T> && ...), "a message holds values: send a pointer or std::ref instead");

    using tuple = std::tuple<T...>;
    static constexpr const std::type_info* types[sizeof...(T) + 1] = {&typeid(T)..., nullptr};

    static void destroy(void* at) noexcept {
        if constexpr (in_place<T...>) static_cast<tuple*>(at)->~tuple();
        else delete *static_cast<tuple**>(at);
    }
    static constexpr bool plain = in_place<T...> && (std::is_trivially_destructible_v<T> && ...);
    static constexpr detail::message_kind kind{sizeof...(T), types, plain ? nullptr : &destroy};
};

template <class... A>
message message::of(A&&... values) {
    using tuple = std::tuple<detail::sent_t<A>...>;
    message m;
    if constexpr (sizeof...(A) > 0) {
        if constexpr (in_place<detail::sent_t<A>...>) ::new (static_cast<void*>(&m.room_)) tuple(std::forward<A>(values)...);
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
    if constexpr (in_place<T...>) return std::launder(reinterpret_cast<tuple*>(&room_));
    else return *std::launder(reinterpret_cast<tuple**>(&room_));
}

template <class... T>
std::tuple<T...> message::get() {
    if (!holds<T...>()) detail::throw_bad_message(kind_, kind_of<T...>::types, sizeof...(T));
    if constexpr (sizeof...(T) == 0) {
        return {};
    } else {
        const emptier taken{*this};
        return std::move(*locate<T...>());
    }
}

template <class T>
T message::as() {
    if (!holds<T>()) detail::throw_bad_message(kind_, kind_of<T>::types, 1);
    const emptier taken{*this};
    return std::get<0>(std::move(*locate<T>()));
}

}  // namespace weft
