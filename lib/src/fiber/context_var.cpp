#include <weft/context_var.hpp>

#include <mutex>

#include "fiber/context_values.hpp"
#include "fiber/thread.hpp"

namespace weft {
namespace detail {
namespace {

variable_value* entry_of(context_values& values, std::uint64_t id) noexcept {
    for (context_values::entry& each : values.entries)
        if (each.id == id) return &each.value;
    return nullptr;
}

// @returns what was there before, null for nothing; for the caller to destroy
variable_value exchange(context_values& values, std::uint64_t id, variable_value value) {
    const std::lock_guard guard{values.lock};
    if (variable_value* const there = entry_of(values, id)) return std::exchange(*there, std::move(value));
    values.entries.push_back({id, std::move(value)});
    return nullptr;
}

context_values& copy_of(context_values& values) {
    auto made = std::make_unique<context_values>();
    const std::lock_guard guard{values.lock};
    for (const context_values::entry& each : values.entries)
        if (each.value) made->entries.push_back(each);
    return *made.release();
}

record& running() { return *this_thread().current; }

context_values& values_of(record& rec) {
    if (!rec.variables) rec.variables = new context_values;
    return *rec.variables;
}

// Null of a dead fiber.
record* record_of(const fiber& f) {
    end_block* const block = block_of(f);
    if (!block)
        throw std::invalid_argument("weft: this handle names no fiber, which has no context; assign one made "
                                    "with weft::fiber{function} first");
    if (block->state.load(std::memory_order_acquire) == phase::dead) return nullptr;
    if (block->home != this_thread().box)
        throw wrong_thread("weft: the context of a fiber that lives on another thread; let that thread ask, "
                           "or give the fiber's function a context::copy_current() to run() in");
    return block->rec;
}

}  // namespace

std::uint64_t new_variable_id() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

variable_value find_variable(std::uint64_t id) noexcept {
    const thread* const t = this_thread_if_any();
    context_values* const values = t ? t->current->variables : nullptr;
    if (!values) return nullptr;
    const std::lock_guard guard{values->lock};
    const variable_value* const there = entry_of(*values, id);
    return there ? *there : nullptr;
}

void set_variable(std::uint64_t id, variable_value value) {
    exchange(values_of(running()), id, std::move(value));
}

void inherit_variables(record& by) {
    if (context_values* const mine = running().variables) [[unlikely]] by.variables = &copy_of(*mine);
}

void throw_unset(const std::string& name) {
    throw unset_variable("weft: the context variable '" + name + "' has no value in the running fiber's "
                         "context; set it there, or give it a default. A fiber starts with an empty context: "
                         "see set_context()");
}

}  // namespace detail

context::context() : values_{new detail::context_values} {}
context::context(const context& other) noexcept : values_{&detail::share(*other.values_)} {}
context& context::operator=(const context& other) noexcept {
    detail::release(*std::exchange(values_, &detail::share(*other.values_)));
    return *this;
}
context::~context() { detail::release(*values_); }

context context::copy_current() {
    detail::context_values* const now = detail::running().variables;
    return now ? context{detail::copy_of(*now)} : context{};
}

context context::copy() const { return context{detail::copy_of(*values_)}; }

std::size_t context::size() const noexcept {
    const std::lock_guard guard{values_->lock};
    std::size_t set = 0;
    for (const auto& each : values_->entries) set += each.value != nullptr;
    return set;
}

context::entered::entered(const context& wanted) noexcept
    : before_{std::exchange(detail::running().variables, &detail::share(*wanted.values_))} {}

context::entered::~entered() {
    detail::context_values* const left = std::exchange(detail::running().variables, before_);
    if (left) detail::release(*left);
}

context context_of(const fiber& f) {
    detail::record* const rec = detail::record_of(f);
    return rec ? context{detail::share(detail::values_of(*rec))} : context{};
}

void set_context(const fiber& f, const context& wanted) {
    detail::record* const rec = detail::record_of(f);
    if (!rec) return;
    if (detail::context_values* const before = std::exchange(rec->variables, &detail::share(*wanted.values_)))
        detail::release(*before);
}

variable_scope::variable_scope(std::uint64_t id, detail::variable_value value)
    : in_{&detail::share(detail::values_of(detail::running()))}, id_{id} {
    try {
        before_ = detail::exchange(*in_, id, std::move(value));
    } catch (...) {
        detail::release(*in_);
        throw;
    }
}

variable_scope::~variable_scope() {
    detail::exchange(*in_, id_, std::move(before_));
    detail::release(*in_);
}

}  // namespace weft
