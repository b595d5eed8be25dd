#include <atomic>

#include <weft/stack.hpp>

#include "context/guard.hpp"
#include "context/stack.hpp"

namespace weft {
namespace {

constexpr stack_options first{};
constinit std::atomic<stack_guard> guard{first.guard};
constinit std::atomic<std::size_t> warm_bytes{first.warm_bytes};
constinit std::atomic<bool> report_overflow{first.report_overflow};

}  // namespace

stack_options set_stack_options(const stack_options& wanted) {
    (void)detail::settle(wanted.guard);
    return {guard.exchange(wanted.guard), warm_bytes.exchange(wanted.warm_bytes),
            report_overflow.exchange(wanted.report_overflow)};
}

stack_options detail::current_stack_options() noexcept {
    return {guard.load(), warm_bytes.load(), report_overflow.load()};
}

}  // namespace weft
