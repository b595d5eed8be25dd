/// @file weft/context_var.hpp
/// Variables that belong to what is being done rather than to who does it, and the contexts that hold them.
/// Floor: fiber.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/fiber.hpp>

namespace weft {

namespace detail {
struct context_values;
using variable_value = std::shared_ptr<const void>;
WEFT_API std::uint64_t new_variable_id() noexcept;
WEFT_API variable_value find_variable(std::uint64_t id) noexcept;
WEFT_API void set_variable(std::uint64_t id, variable_value value);
[[noreturn]] WEFT_API void throw_unset(const std::string& name);
}  // namespace detail

/// A context variable has no value in the running fiber's context, and no default. Python: LookupError
class WEFT_API unset_variable : public std::logic_error {
    using std::logic_error::logic_error;
};

/// The values of context variables. Copies are the same context; copy() makes another one.
///
/// Order:     a task starts with a copy of the one of the fiber that spawns it; an explicit fiber, as in greenlet, starts
///            without one and gets an empty one at its first set(). One context may be given to several: they see each
///            other's changes.
/// Threads:   any; a context that is shared between threads is guarded, the values' types are not.
/// Lifetime:  a fiber keeps its context until it ends, and a context its values, even those of variables that
///            are gone.
/// Python:    contextvars.Context; greenlet.gr_context, where None stands for an empty one
class WEFT_API context {
public:
    /// A new one, empty.
    context();
    context(const context& other) noexcept;
    context& operator=(const context& other) noexcept;
    ~context();

    /// A new one with the values that the running fiber sees now.
    static context copy_current();
    context copy() const;

    /// Calls `function` with this one as the running fiber's context, which sets in it what the function
    /// sets. The one before is back when the function has returned or thrown. Other fibers keep theirs.
    template <class F>
    decltype(auto) run(F&& function) const {
        const entered here{*this};
        return std::invoke(std::forward<F>(function));
    }

    /// How many variables have a value.
    std::size_t size() const noexcept;

    friend bool operator==(const context& a, const context& b) noexcept { return a.values_ == b.values_; }

private:
    friend WEFT_API context context_of(const fiber& f);
    friend WEFT_API void set_context(const fiber& f, const context& wanted);

    class WEFT_API entered {
    public:
        explicit entered(const context& wanted) noexcept;
        ~entered();
        entered(const entered&) = delete;
        entered& operator=(const entered&) = delete;

    private:
        detail::context_values* before_;
    };

    explicit context(detail::context_values& counted) noexcept : values_{&counted} {}

    detail::context_values* values_;  // counted
};

/// The fiber's context: pending, running or suspended. Of a dead one, a new empty context.
/// @throws wrong_thread           it lives on another thread, suspended or not: only that one may look
/// @throws std::invalid_argument  the handle names no fiber
WEFT_API context context_of(const fiber& f);
/// Gives the fiber another one, from its next get() or set() on; set_context(f, context{}) clears. A dead one
/// drops it. @throws as context_of()
WEFT_API void set_context(const fiber& f, const context& wanted);

/// What context_var::scoped() gives: puts back, in the context where it was set, what was there before.
class WEFT_API variable_scope {
public:
    variable_scope(std::uint64_t id, detail::variable_value value);
    ~variable_scope();
    variable_scope(const variable_scope&) = delete;
    variable_scope& operator=(const variable_scope&) = delete;

private:
    detail::context_values* in_;  // counted
    std::uint64_t id_;
    detail::variable_value before_;
};

/// A variable that has a value in each context where it was set: a request's id, say, or a locale.
///
/// Values:    get() copies, so that a value stays good whoever sets another one meanwhile; for what is costly
///            to copy make T a shared_ptr.
/// Threads:   any. Lifetime: any, but best as long as the program's: contexts keep the values of dead ones.
/// Python:    contextvars.ContextVar, with scopes for tokens
template <class T>
class context_var {
public:
    /// @param name  for errors
    explicit context_var(std::string name = {}) : name_{std::move(name)} {}
    /// With a value for contexts where it was not set.
    context_var(std::string name, T otherwise) : name_{std::move(name)}, default_{std::move(otherwise)} {}
    context_var(const context_var&) = delete;
    context_var& operator=(const context_var&) = delete;

    /// In the running fiber's context; else the default. @throws unset_variable  neither is there
    T get() const {
        if (const auto set = find()) return *set;
        if (!default_) detail::throw_unset(name_);
        return *default_;
    }
    T get_or(T otherwise) const {
        const auto set = find();
        return set ? *set : std::move(otherwise);
    }
    /// For the running fiber's context.
    void set(T value) { detail::set_variable(id_, std::make_shared<const T>(std::move(value))); }
    /// Sets it until the end of a scope: `const auto here = var.scoped(5);`
    [[nodiscard]] variable_scope scoped(T value) {
        return {id_, std::make_shared<const T>(std::move(value))};
    }

private:
    std::shared_ptr<const T> find() const noexcept {
        return std::static_pointer_cast<const T>(detail::find_variable(id_));
    }

    const std::uint64_t id_ = detail::new_variable_id();
    const std::string name_;
    const std::optional<T> default_;
};

}  // namespace weft
