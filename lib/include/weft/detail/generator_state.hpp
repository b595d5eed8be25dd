/// @file weft/detail/generator_state.hpp
/// What a generator and its body share, with its types.  Floor: fiber.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>

#include <weft/stop_iteration.hpp>
#include <weft/yielder.hpp>

namespace weft::detail {

template <class Yield, class Send, class Return>
struct generator_state : yielder<Yield, Send> {
    using core = generator_core;
    core& switching() noexcept { return *this; }
    std::remove_reference_t<Yield>* value() const noexcept { return this->value_; }

    template <class F>
    void run(F& body) {
        this->begin();
        try {
            yielder<Yield, Send>& out = *this;
            if constexpr (std::is_void_v<Return>) std::invoke(body, out);
            else result.emplace(std::invoke(body, out));
        } catch (...) {
            this->fail();
        }
        this->end();
    }

    struct nothing {};
    [[no_unique_address]] std::conditional_t<std::is_void_v<Return>, nothing, std::optional<Return>> result;
};

template <class Generator>
class generator_iterator {
public:
    using value_type = typename Generator::value_type;
    using difference_type = std::ptrdiff_t;

    explicit generator_iterator(Generator& over) noexcept : over_{&over} {}
    generator_iterator(generator_iterator&&) = default;
    generator_iterator& operator=(generator_iterator&&) = default;

    typename Generator::reference operator*() const noexcept { return over_->current(); }
    generator_iterator& operator++() {
        over_->advance();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const generator_iterator& it, std::default_sentinel_t) noexcept {
        return it.over_->done();
    }

private:
    Generator* over_;
};

}  // namespace weft::detail
