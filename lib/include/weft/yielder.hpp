/// @file weft/yielder.hpp
/// The inside of a generator: what its body yields through.  Floor: fiber.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include <weft/detail/generator_core.hpp>

namespace weft {

template <class Yield, class Send = void, class Return = void>
class generator;

namespace detail {
template <class Yield, class Send, class Return>
struct generator_state;

template <class Send>
struct answer {
    using type = std::optional<Send>;
};
template <>
struct answer<void> {
    using type = void;
};
}  // namespace detail

/// Given to the body of a generator, which yields through it from any depth of calls. An inner generator's
/// body, or a fiber that the body runs, may yield through it too: next() then resumes it there.
///
/// Errors:    generator_misuse while nobody waits in the generator's next(); wrong_thread on another thread.
/// Lifetime:  the generator's and the body's, whichever is longer. Stays where it is: pass a reference.
template <class Yield, class Send = void>
class yielder : private detail::generator_core {
    static_assert(std::is_reference_v<Yield> || (std::is_object_v<Yield> && !std::is_const_v<Yield>));
    static_assert(!std::is_reference_v<Send>, "a generator is sent values: send a pointer instead");

public:
    /// With Send: what was sent, or empty if it was resumed by next().
    using answer = typename detail::answer<Send>::type;

    /// Hands `value` to who waits in next(), and waits to be resumed. The value stays where it is: next()
    /// moves from it, or returns it if Yield is a reference. A temporary lives until yield() returns.
    /// @throws anything    what throw_into() throws here
    /// @throws fiber_exit  the generator is closed or destroyed: let it pass. Once it is destroyed,
    ///                     destructors on the way that yield go on at once: nobody is there to receive.
    answer yield(Yield&& value) {
        value_ = std::addressof(value);
        suspend();
        if constexpr (!std::is_void_v<Send>) {
            answer got;
            if (void* sent = take_sent()) got.emplace(std::move(*static_cast<Send*>(sent)));
            return got;
        }
    }
    /// Yields a copy.
    answer yield(const Yield& value)
        requires(!std::is_reference_v<Yield> && std::copy_constructible<Yield>)
    {
        Yield copy{value};
        return yield(std::move(copy));
    }

    /// Yields all that `inner` does, uncopied, and returns its result. What is sent or thrown meanwhile
    /// reaches `inner`, and closing closes it. Each level of recursion adds two switches a value.
    /// Python: yield from
    template <class R>
    R yield_from(generator<Yield, Send, R>& inner);
    template <class R>
    R yield_from(generator<Yield, Send, R>&& inner) {
        return yield_from(inner);
    }
    /// Yields the elements of a range; what is sent meanwhile is dropped.
    template <std::ranges::input_range Range>
    void yield_from(Range&& range) {
        for (auto&& element : range) yield(std::forward<decltype(element)>(element));
    }

private:
    template <class, class, class>
    friend struct detail::generator_state;

    std::remove_reference_t<Yield>* value_ = nullptr;  // in the yielding frame
};

}  // namespace weft
