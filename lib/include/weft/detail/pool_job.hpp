/// @file weft/detail/pool_job.hpp
/// A function with its arguments and its promise, on its way through a thread pool.  Floor: kit.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/detail/work.hpp>
#include <weft/future.hpp>

namespace weft::detail {

/// Why a job was dropped, for its future.
WEFT_API std::exception_ptr drop_reason(int error) noexcept;

/// Moves the value out of a future's state, for whoever holds the only handle that can be asked.
struct future_value {
    template <class T>
    static T take(const future<T>& from) {
        if constexpr (std::is_void_v<T> || std::is_reference_v<T>) return from.get();
        else return std::move(const_cast<T&>(from.get()));
    }
};

/// Owns itself once it is in the pool.
template <class T, class F, class... A>
class pool_job final : public work {
public:
    template <class G, class... B>
    explicit pool_job(G&& function, B&&... args)
        : call_{std::in_place, std::forward<G>(function), std::forward<B>(args)...} {}

    future<T> outcome() const { return promise_.get_future(); }

    void run() noexcept override {
        promise_.complete_from(outcome_of{call_});
        delete this;
    }
    void drop(int error) noexcept override {
        call_.reset();
        promise_.set_exception(drop_reason(error));
        delete this;
    }

private:
    using function_and_args = std::tuple<F, A...>;

    /// Something that has ended, as it is asked: what the function has captured is gone before its outcome is known.
    struct outcome_of {
        std::optional<function_and_args>& call;

        bool ready() const noexcept { return true; }
        T get() const {
            struct dropper {
                std::optional<function_and_args>& call;
                ~dropper() { call.reset(); }
            } const at_end{call};
            const auto invoke = [](F& function, A&... args) -> T {
                return std::invoke(std::move(function), std::move(args)...);
            };
            return std::apply(invoke, *call);
        }
    };

    std::optional<function_and_args> call_;
    promise<T> promise_;
};

}  // namespace weft::detail
