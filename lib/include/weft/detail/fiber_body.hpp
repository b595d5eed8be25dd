/// @file weft/detail/fiber_body.hpp
/// How a callable becomes the body of a fiber.  Floor: fiber.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/end_block.hpp>

namespace weft::detail {

/// The parameter types of a callable with one signature, decayed.
template <class F>
struct parameters : parameters<decltype(&F::operator())> {};

template <class R, class... A>
struct parameters<R (*)(A...)> {
    using tuple = std::tuple<std::decay_t<A>...>;
    template <class G>
    static decltype(auto) call(G& function, message&& first) {
        return std::apply(function, first.template get<std::decay_t<A>...>());
    }
};
template <class R, class... A>
struct parameters<R (*)(A...) noexcept> : parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct parameters<R (C::*)(A...)> : parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct parameters<R (C::*)(A...) const> : parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct parameters<R (C::*)(A...) noexcept> : parameters<R (*)(A...)> {};
template <class C, class R, class... A>
struct parameters<R (C::*)(A...) const noexcept> : parameters<R (*)(A...)> {};

template <class F>
concept has_one_signature = requires { typename parameters<F>::tuple; };

template <class F>
class fiber_body final : public body {
public:
    template <class G>
    explicit fiber_body(G&& function)
        : body{destroyer<fiber_body, std::is_trivially_destructible_v<F>>()}, function_(std::forward<G>(function)) {}

    void run(message& first, message& result) override {
        using returned = decltype(call(std::move(first)));
        if constexpr (std::is_void_v<returned>) {
            call(std::move(first));
        } else if constexpr (std::is_same_v<std::decay_t<returned>, message>) {
            result = call(std::move(first));
        } else {
            result = message::of(call(std::move(first)));
        }
    }

private:
    decltype(auto) call(message&& first) {
        if constexpr (std::is_invocable_v<F&>) {
            return function_();
        } else if constexpr (std::is_invocable_v<F&, message>) {
            return function_(std::move(first));
        } else {
            static_assert(has_one_signature<F>,
                          "the body of a fiber takes nothing, a weft::message, or the values of the first switch by "
                          "types it names: a generic lambda or an overloaded callable does not say which");
            return parameters<F>::call(function_, std::move(first));
        }
    }

    F function_;
};

}  // namespace weft::detail
