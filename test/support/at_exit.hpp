// Something to do at the end of a scope.
#pragma once

namespace test {

/// Calls `function` when it goes.
template <class F>
struct at_exit {
    F function;
    ~at_exit() { function(); }
};
template <class F>
at_exit(F) -> at_exit<F>;

}  // namespace test
