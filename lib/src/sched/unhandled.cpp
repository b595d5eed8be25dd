#include "sched/unhandled.hpp"

#include <atomic>
#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <string>
#include <typeinfo>

#include <weft/task_hooks.hpp>

#include "base/check.hpp"

namespace weft {
namespace detail {
namespace {

void print_unhandled(std::uint64_t id, const std::string& name, const std::exception_ptr& error) {
    const std::string who = name.empty() ? std::to_string(id) : std::to_string(id) + " '" + name + "'";
    warn(("task " + who + " ended with an exception that nobody asked for: " + describe_error(error)).c_str());
}

std::atomic<unhandled_hook> hook{&print_unhandled};

std::string readable(const std::type_info* type) {
    if (!type) return "an unknown exception";
    int status = 0;
    std::unique_ptr<char, decltype(&std::free)> name{abi::__cxa_demangle(type->name(), nullptr, nullptr, &status),
                                                     &std::free};
    return status == 0 ? name.get() : type->name();
}

}  // namespace

std::string describe_error(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return readable(&typeid(e)) + ": " + e.what();
    } catch (...) {
        return readable(abi::__cxa_current_exception_type());
    }
}

void report_unhandled(const end_block& block, const std::exception_ptr& error) noexcept {
    hook.load(std::memory_order_acquire)(block.id, block.name_text(), error);
}

}  // namespace detail

unhandled_hook on_unhandled(unhandled_hook next) noexcept {
    return detail::hook.exchange(next ? next : &detail::print_unhandled, std::memory_order_acq_rel);
}

}  // namespace weft
