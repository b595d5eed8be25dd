// What weft/generator.hpp promises beside values: what is sent and thrown in, close, results and errors.
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/generator.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber_exit;
using weft::generator;
using weft::yielder;

namespace {

using strings = std::vector<std::string>;

/// Yields 0, 1, ... and notes what it is sent.
generator<int, std::string> listener(int last, strings& heard) {
    return generator<int, std::string>{[&heard, last](yielder<int, std::string>& out) {
        for (int i = 0; i <= last; ++i) heard.push_back(out.yield(i).value_or("nothing"));
    }};
}

/// Fibonacci's first `count` numbers, then "done".
generator<int, void, std::string> fibonacci(int count) {
    return generator<int, void, std::string>{[count](yielder<int>& out) {
        for (int i = 0, a = 0, b = 1; i < count; ++i, a = std::exchange(b, a + b)) out.yield(a);
        return "done";
    }};
}

/// Notes in `log` how its yield ended, and passes it on.
generator<int> witness(strings& log) {
    return generator<int>{[&log](yielder<int>& out) {
        try {
            out.yield(1);
            log.push_back("resumed");
        } catch (const fiber_exit&) {
            log.push_back("fiber_exit");
            throw;
        } catch (const std::exception& error) {
            log.push_back(error.what());
            throw;
        }
    }};
}

template <class E, class F>
std::string text_of(F function) {
    try {
        function();
    } catch (const E& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace

TASK_TEST("what is sent is what yield returns; next sends nothing") {
    strings heard;
    auto g = listener(3, heard);
    CHECK(g.next() == 0);
    CHECK(g.send("haha") == 1);
    CHECK(g.next() == 2);
    CHECK(g.send("haha") == 3);
    CHECK_THROWS_AS(g.send("last"), weft::stop_iteration<>);
    CHECK(heard == strings{"haha", "nothing", "haha", "last"});
}

TASK_TEST("sending to a generator that has not begun is refused and begins nothing") {
    strings heard;
    auto g = listener(0, heard);
    CHECK_THROWS_AS(g.send("early"), weft::generator_misuse);
    CHECK(g.next() == 0);
}

TASK_TEST("a value sent is moved to the body and destroyed once, on every path") {
    counted::reset();
    {
        generator<int, counted> g{[](yielder<int, counted>& out) {
            CHECK(out.yield(1)->number == 5);
            out.yield(2);  // drops what it is sent
            out.yield(3);
        }};
        CHECK_THROWS_AS(g.send(counted{4}), weft::generator_misuse);
        g.next();
        g.send(counted{5});
        g.send(counted{6});
        CHECK_THROWS_AS(g.send(counted{7}), weft::stop_iteration<>);
        CHECK_THROWS_AS(g.send(counted{8}), weft::stop_iteration<>);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 5);
}

TASK_TEST("the result is in every stop_iteration, and in the generator") {
    auto g = fibonacci(5);
    std::vector<int> numbers;
    for (int n : g) numbers.push_back(n);
    CHECK(numbers == std::vector{0, 1, 1, 2, 3});
    CHECK(g.result() == "done");
    for (int again = 0; again < 2; ++again) {
        try {
            g.next();
            FAIL("it has ended");
        } catch (const weft::stop_iteration<std::string>& end) {
            CHECK(end.value() == "done");
        }
    }
}

TASK_TEST("a stop_iteration keeps the result when its generator is gone") {
    counted::reset();
    {
        weft::stop_iteration<counted> end;
        CHECK_FALSE(end.has_value());
        CHECK_THROWS_AS(end.value(), std::logic_error);
        try {
            generator<int, void, counted>{[](yielder<int>&) { return counted{9}; }}.next();
        } catch (const weft::stop_iteration<counted>& thrown) {
            end = thrown;
        }
        CHECK(end.value().number == 9);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a generator that is running, closed or failed has no result") {
    auto g = fibonacci(5);
    CHECK_THROWS_AS(g.result(), std::logic_error);
    g.next();
    g.close();
    CHECK_THROWS_AS(g.result(), std::logic_error);
    try {
        g.next();
        FAIL("it has ended");
    } catch (const weft::stop_iteration<std::string>& end) {
        CHECK_FALSE(end.has_value());
    }
}

TASK_TEST("an error that leaves the body comes out of next and ends the generator") {
    generator<int> g{[](yielder<int>& out) {
        out.yield(1);
        throw std::runtime_error("in the body");
    }};
    CHECK(g.next() == 1);
    CHECK(text_of<std::runtime_error>([&] { g.next(); }) == "in the body");
    CHECK(g.done());
    CHECK_THROWS_AS(g.next(), weft::stop_iteration<>);
}

TASK_TEST("a stop_iteration that leaves the body does not pass for the end") {
    generator<int> g{[](yielder<int>& out) {
        generator<int> empty{[](yielder<int>&) {}};
        out.yield(empty.next());
    }};
    try {
        g.next();
        FAIL("nothing was thrown");
    } catch (const weft::generator_misuse& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), weft::stop_iteration<>);
    }
}

TASK_TEST("throw_into throws at the yield and returns the next value") {
    generator<int> g{[](yielder<int>& out) {
        try {
            out.yield(1);
        } catch (const std::out_of_range&) {
            out.yield(2);
        }
    }};
    g.next();
    CHECK(g.throw_into(std::out_of_range("catch me")) == 2);
    CHECK(text_of<std::runtime_error>([&] { g.throw_into(std::runtime_error("and me")); }) == "and me");
    CHECK(g.done());
}

TASK_TEST("throw_into ends a generator that has not begun, without running it; an ended one throws it back") {
    counted::reset();
    bool ran = false;
    generator<int> g{[&ran, kept = counted{1}](yielder<int>&) { ran = true; }};
    for (int time = 0; time < 2; ++time) {
        CHECK(text_of<std::runtime_error>([&] { g.throw_into(std::runtime_error("back")); }) == "back");
        CHECK(g.done());
        CHECK(counted::destroyed == 1);
    }
    CHECK_FALSE(ran);
    CHECK_THROWS_AS(g.throw_into(std::exception_ptr{}), std::invalid_argument);
}

TASK_TEST("close throws fiber_exit at the yield, once, and is done with it") {
    strings log;
    auto g = witness(log);
    g.next();
    g.close();
    CHECK(g.done());
    g.close();
    CHECK(log == strings{"fiber_exit"});
    CHECK_THROWS_AS(g.next(), weft::stop_iteration<>);
}

TASK_TEST("close of a generator that has not begun runs nothing") {
    strings log;
    auto g = witness(log);
    g.close();
    CHECK(g.done());
    CHECK(log.empty());
}

TASK_TEST("a generator that yields again when it is closed is an error, and can be resumed") {
    generator<int> g{[](yielder<int>& out) {
        try {
            out.yield(1);
        } catch (const fiber_exit&) {
        }
        out.yield(2);
        out.yield(3);
    }};
    g.next();
    CHECK_THROWS_AS(g.close(), weft::generator_misuse);
    CHECK(g.next() == 3);
    g.close();
    CHECK(g.done());
}

TASK_TEST("a body that answers close by returning has a result; one that throws has its error thrown") {
    generator<int, void, int> calm{[](yielder<int>& out) {
        try {
            out.yield(1);
        } catch (const fiber_exit&) {
        }
        return 8;
    }};
    calm.next();
    calm.close();
    CHECK(calm.result() == 8);

    generator<int> upset{[](yielder<int>& out) {
        try {
            out.yield(1);
        } catch (const fiber_exit&) {
            throw std::runtime_error("while it was closed");
        }
    }};
    upset.next();
    CHECK(text_of<std::runtime_error>([&] { upset.close(); }) == "while it was closed");
}

TASK_TEST("every value that a generator yields is destroyed once, however it ends") {
    counted::reset();
    const auto make = [] {
        return generator<counted>{[](yielder<counted>& out) {
            for (int i = 0; i < 3; ++i) out.yield(counted{i});
        }};
    };
    make().next();
    { auto g = make(); g.next(); g.close(); }
    { auto g = make(); g.next(); try { g.throw_into(1); } catch (int) {} }
    { auto g = make(); while (g.try_next()) {} }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 6);
}
