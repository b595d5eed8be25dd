#include <weft/future.hpp>

namespace weft {

broken_promise::broken_promise()
    : std::runtime_error{"weft: the promise was dropped without an outcome; whoever was to set one has gone"} {}

void detail::names_no_future() {
    throw std::logic_error("weft: this future or promise names no outcome: assign one from promise::get_future() or "
                           "thread_pool::spawn(), and do not use a promise that was moved from");
}

}  // namespace weft
