// The exception state is each fiber's own, across switches from handlers and destructors in every order.
#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber.hpp>

#include "support/task_test.hpp"

using weft::fiber;
using weft::message;

namespace {

message to_parent() { return fiber::current().parent().switch_to(); }

bool clean() { return !std::current_exception() && std::uncaught_exceptions() == 0; }

std::string current_error() {
    const std::exception_ptr error = std::current_exception();
    if (!error) return "none";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "something else";
    }
}

/// `function` leaves by a std::runtime_error with this text.
std::string text_of_error(auto&& function) {
    try {
        function();
    } catch (const std::runtime_error& e) {
        return e.what();
    }
    return "no error";
}

/// Suspends itself in the handler of an error of its name, and in that of a nested one, and rethrows both.
class handler {
public:
    explicit handler(std::string name)
        : name_{std::move(name)}, fiber_{[this] { seen_ = text_of_error([this] { outer(); }); }} {}

    void step() { fiber_.switch_to(); }
    bool done() const { return fiber_.dead(); }
    /// It has met its own errors and no other's.
    bool sound() const { return !mixed_up_ && seen_ == name_; }

private:
    void outer() {
        try {
            throw std::runtime_error(name_);
        } catch (const std::runtime_error&) {
            suspend(name_);
            const std::string nested = text_of_error([this] { inner(); });
            mixed_up_ |= nested != name_ + " inner";
            suspend(name_);
            throw;
        }
    }
    void inner() {
        try {
            throw std::runtime_error(name_ + " inner");
        } catch (const std::runtime_error&) {
            suspend(name_ + " inner");
            throw;
        }
    }
    void suspend(const std::string& handled) {
        mixed_up_ |= current_error() != handled;
        to_parent();
        mixed_up_ |= current_error() != handled;
    }

    std::string name_, seen_;
    bool mixed_up_ = false;
    fiber fiber_;
};

}  // namespace

TASK_TEST("fibers suspended in handlers rethrow their own, in whatever order they are resumed") {
    std::vector<int> order{0, 0, 0, 0, 1, 1, 1, 1};  // who goes on; each does so four times
    int orders = 0;
    do {
        handler both[] = {handler{"a"}, handler{"b"}};
        for (const int who : order) both[who].step();
        CHECK(both[0].done());
        CHECK(both[1].done());
        CHECK(both[0].sound());
        CHECK(both[1].sound());
        CHECK(clean());
        ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(orders == 70);
}

TASK_TEST("who resumes them may stand in handlers of its own, other ones each time") {
    std::vector<int> order{0, 0, 0, 0, 1, 1, 1, 1};
    do {
        handler both[] = {handler{"a"}, handler{"b"}};
        for (const int who : order) {
            const std::string text = text_of_error([&] {
                try {
                    throw std::runtime_error("resumer");
                } catch (const std::runtime_error&) {
                    both[who].step();
                    CHECK(current_error() == "resumer");
                    throw;
                }
            });
            CHECK(text == "resumer");
        }
        CHECK(both[0].sound());
        CHECK(both[1].sound());
        CHECK(clean());
    } while (std::next_permutation(order.begin(), order.end()));
}

TASK_TEST("a new fiber starts clean, and leaves its maker's state as it was") {
    bool was_clean = false;
    try {
        throw std::runtime_error("maker");
    } catch (const std::runtime_error&) {
        fiber f{[&] {
            was_clean = clean();
            try {
                throw 1;
            } catch (int) {
            }
        }};
        f.switch_to();
        CHECK(current_error() == "maker");
    }
    CHECK(was_clean);
    CHECK(clean());
}

TASK_TEST("a fiber made and started while a stack is unwound starts clean") {
    bool was_clean = false;
    int uncaught = 0;
    struct starts_one {
        bool& was_clean;
        int& uncaught;
        ~starts_one() {
            fiber{[this] { was_clean = clean(); }}.switch_to();
            uncaught = std::uncaught_exceptions();
        }
    };
    try {
        const starts_one s{was_clean, uncaught};
        throw 1;
    } catch (int) {
    }
    CHECK(was_clean);
    CHECK(uncaught == 1);
    CHECK(clean());
}

TASK_TEST("destructors of two unwindings that switch to and fro each count their own exceptions") {
    std::vector<int> seen;
    struct counts {
        std::vector<int>& seen;
        ~counts() {
            for (int i = 0; i < 3; ++i) {
                seen.push_back(std::uncaught_exceptions());
                to_parent();
            }
        }
    };
    const auto one_deep = [&] {
        CHECK(text_of_error([&] {
                  const counts c{seen};
                  throw std::runtime_error("one");
              }) == "one");
        CHECK(clean());
    };
    // Two exceptions under way at once: the second is thrown and caught below a destructor.
    const auto two_deep = [&] {
        struct throws_inside {
            std::vector<int>& seen;
            ~throws_inside() {
                CHECK(text_of_error([this] {
                          const counts c{seen};
                          throw std::runtime_error("second");
                      }) == "second");
            }
        };
        CHECK(text_of_error([&] {
                  const throws_inside t{seen};
                  throw std::runtime_error("first");
              }) == "first");
        CHECK(clean());
    };
    fiber a{one_deep}, b{two_deep};
    for (int i = 0; i < 3; ++i) {
        a.switch_to();
        CHECK(std::uncaught_exceptions() == 0);
        b.switch_to();
        CHECK(std::uncaught_exceptions() == 0);
    }
    b.switch_to();
    a.switch_to();
    CHECK(a.dead());
    CHECK(b.dead());
    CHECK(seen == std::vector{1, 2, 1, 2, 1, 2});
}

TASK_TEST("a fiber unwound from a destructor that switches meanwhile counts its fiber_exit, nobody else does") {
    int inside = -1, outside = -1;
    const fiber here = fiber::current();
    struct switches {
        int& inside;
        int& outside;
        ~switches() {
            inside = std::uncaught_exceptions();
            fiber{[this] { outside = std::uncaught_exceptions(); }}.switch_to();
            CHECK(std::uncaught_exceptions() == inside);
        }
    };
    {
        fiber f{[&] {
            const switches s{inside, outside};
            to_parent();
        }};
        f.switch_to();
    }
    CHECK(inside == 1);
    CHECK(outside == 0);
    CHECK(clean());
}

TASK_TEST("nested exceptions come apart in the parent as they were put together in the child") {
    fiber f{[] {
        try {
            try {
                throw std::runtime_error("cause");
            } catch (...) {
                to_parent();
                std::throw_with_nested(std::logic_error("effect"));
            }
        } catch (...) {
            to_parent();
            throw;
        }
    }};
    try {
        throw std::runtime_error("not part of it");
    } catch (...) {
        f.switch_to();
    }
    f.switch_to();
    std::string cause;
    try {
        f.switch_to();
    } catch (const std::logic_error& e) {
        CHECK(std::string{e.what()} == "effect");
        cause = text_of_error([&] { std::rethrow_if_nested(e); });
    }
    CHECK(cause == "cause");
    CHECK(clean());
}

TASK_TEST("an exception raised by throw_into in a handler nests there, and the outer one is still rethrown") {
    std::vector<std::string> seen;
    fiber f{[&] {
        seen.push_back(text_of_error([&] {
            try {
                throw std::runtime_error("outer");
            } catch (const std::runtime_error&) {
                seen.push_back(text_of_error([] { to_parent(); }));
                seen.push_back(current_error());
                to_parent();
                throw;
            }
        }));
    }};
    f.switch_to();
    f.throw_into(std::runtime_error("thrown in"));
    f.switch_to();
    CHECK(seen == std::vector<std::string>{"thrown in", "outer", "outer"});
}

TASK_TEST("what the parent catches from a child is its current exception while it goes on switching") {
    fiber other{[] {
        for (;;) {
            try {
                throw 1;
            } catch (int) {
                to_parent();
            }
        }
    }};
    const auto fails = [] { throw std::runtime_error("child's"); };
    const std::string text = text_of_error([&] {
        try {
            fiber{fails}.switch_to();
        } catch (const std::runtime_error&) {
            other.switch_to();
            CHECK(current_error() == "child's");
            other.switch_to();
            throw;
        }
    });
    CHECK(text == "child's");
}

TASK_TEST("one exception thrown into two fibers is handled by both at once, and rethrown by both") {
    const auto shared = std::make_exception_ptr(std::runtime_error("shared"));
    const auto body = [] {
        try {
            to_parent();
        } catch (const std::runtime_error&) {
            to_parent();
            throw;
        }
    };
    for (const bool first_in_first_out : {true, false}) {
        fiber a{body}, b{body};
        a.switch_to();
        b.switch_to();
        a.throw_into(shared);
        b.throw_into(shared);
        CHECK(clean());
        for (fiber* f : {first_in_first_out ? &a : &b, first_in_first_out ? &b : &a})
            CHECK(text_of_error([&] { f->switch_to(); }) == "shared");
    }
}

TASK_TEST("a fiber dropped in its handler is unwound out of it, whatever its dropper handles") {
    for (const bool in_handler : {true, false}) {
        std::string left_handler;
        const auto drops = [&] {
            fiber f{[&] {
                try {
                    throw std::runtime_error("inner");
                } catch (const std::runtime_error& e) {
                    struct note {
                        std::string& to;
                        const char* what;
                        ~note() { to = what; }
                    } at_end{left_handler, e.what()};
                    to_parent();
                }
            }};
            f.switch_to();
        };
        if (in_handler) {
            try {
                throw std::runtime_error("dropper");
            } catch (const std::runtime_error&) {
                drops();
                CHECK(current_error() == "dropper");
            }
        } else {
            drops();
        }
        CHECK(left_handler == "inner");
        CHECK(clean());
    }
}
