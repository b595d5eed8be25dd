// What every waiting call of the library has in common, as the suite sees it: one object of each kind a test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weft/deadline.hpp>

namespace contract {

/// One thing to wait for, freshly made, with nothing to be had yet.
struct waiting_call {
    virtual ~waiting_call() noexcept(false) = default;

    /// The call. @returns what it says: true with what was waited for, which it has given back where that is a lock
    virtual bool wait(weft::deadline by) = 0;
    /// Lets one waiter have it, or all, by `serves_all`; from any task or thread.
    virtual void serve() = 0;
    /// How often wait(past) would say true now.
    virtual int left() = 0;

    bool serves_all = false;
    int at_once = 1;  // waiters that one serve() lets have it
};

struct kind {
    std::string name;
    std::function<std::unique_ptr<waiting_call>()> make;
    bool seeds_only = false;      // one more way to serve a call that is in the list already
    bool granted_is_done = false; // one that is interrupted once it has been granted has had it, and is interrupted later
};

/// Every waiting call.
const std::vector<kind>& all();

}  // namespace contract
