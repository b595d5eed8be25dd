/// @file weft/stop_iteration.hpp
/// How next() says that there are no more values.  Floor: fiber.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>

#include <weft/detail/export.hpp>

namespace weft {

/// What every stop_iteration<R> is, for who does not want the result.
class WEFT_API stop_iteration_base : public std::exception {
public:
    const char* what() const noexcept override;
};

/// Thrown by next() at the end. Copies name one result.
/// Python: StopIteration
template <class R = void>
class stop_iteration : public stop_iteration_base {
public:
    /// Without a result: the body was closed or ended by an error.
    stop_iteration() noexcept = default;
    explicit stop_iteration(std::shared_ptr<R> result) noexcept : result_{std::move(result)} {}

    bool has_value() const noexcept { return result_ != nullptr; }

    /// What the body returned; may be moved from. Lives as long as this exception or the generator.
    /// @throws std::logic_error  there is none
    R& value() const {
        if (!result_)
            throw std::logic_error("weft: the generator ended without a result; ask has_value() first");
        return *result_;
    }

private:
    std::shared_ptr<R> result_;
};

template <>
class stop_iteration<void> : public stop_iteration_base {};

/// A generator was resumed while it runs or sent a value before it began; a value was yielded outside of it.
class WEFT_API generator_misuse : public std::logic_error {
    using std::logic_error::logic_error;
};

}  // namespace weft
