// What weft/context_var.hpp promises.
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/context_var.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/task_test.hpp"

using weft::context;
using weft::context_of;
using weft::context_var;
using weft::fiber;
using weft::set_context;

namespace {

void suspend() { fiber::current().parent().switch_to(); }

context_var<int> id{"id", -1};

enum class passed_on { not_at_all, by_setting, by_running, by_sharing };

// Four fibers that each set `id` to a number of their own and count, twice, what they then read.
std::array<int, 5> counts_of_four(passed_on how) {
    std::array<int, 5> counts{};
    id.set(0);
    std::vector<fiber> fibers;
    for (int number = 1; number < 5; ++number) {
        const auto body = [&counts, how, number] {
            const int inherited = how == passed_on::by_sharing ? number - 1 : 0;
            CHECK(id.get() == (how == passed_on::not_at_all ? -1 : inherited));
            id.set(number);
            for (int i = 0; i < 2; ++i) {
                ++counts.at(static_cast<std::size_t>(id.get()));
                suspend();
            }
        };
        if (how == passed_on::by_running) {
            fibers.emplace_back([body, snapshot = context::copy_current()] { snapshot.run(body); });
        } else {
            fibers.emplace_back(body);
        }
        if (how == passed_on::by_setting) set_context(fibers.back(), context::copy_current());
        if (how == passed_on::by_sharing) set_context(fibers.back(), context_of(fiber::current()));
    }
    for (int i = 0; i < 2; ++i) {
        ++counts.at(static_cast<std::size_t>(id.get()));
        for (const fiber& each : fibers) each.switch_to();
    }
    for (const fiber& each : fibers) {
        each.switch_to();
        CHECK(each.dead());
    }
    return counts;
}

constexpr std::array twice_each{2, 2, 2, 2, 2};

}  // namespace

TASK_TEST("a fiber starts without its maker's values") {
    CHECK(counts_of_four(passed_on::not_at_all) == twice_each);
}

TASK_TEST("a copy that is given to a fiber has the values of then, and keeps its own from there on") {
    CHECK(counts_of_four(passed_on::by_setting) == twice_each);
}

TASK_TEST("fibers suspended inside run() each keep the context that they run in") {
    CHECK(counts_of_four(passed_on::by_running) == twice_each);
}

TASK_TEST("a context that is given to several fibers is one: each sees what the others set") {
    CHECK(counts_of_four(passed_on::by_sharing) == std::array{1, 1, 1, 1, 6});
}

TASK_TEST("a variable that is set nowhere has its default, or none") {
    context_var<std::string> named{"request"};
    context_var<std::string> with_default{"user", "nobody"};
    CHECK(with_default.get() == "nobody");
    CHECK(named.get_or("none") == "none");
    CHECK_THROWS_WITH_AS(named.get(), doctest::Contains("'request'"), weft::unset_variable);
    named.set("seven");
    CHECK(named.get() == "seven");
    CHECK(named.get_or("none") == "seven");
}

TASK_TEST("a scope puts back what was there before, also nothing, in the context where it was set") {
    context_var<int> depth{"depth"};
    const context there;
    {
        const auto outer = depth.scoped(1);
        {
            const auto inner = depth.scoped(2);
            CHECK(depth.get() == 2);
            set_context(fiber::current(), there);
            depth.set(9);
        }
        CHECK(depth.get() == 9);
    }
    CHECK(depth.get() == 9);
    CHECK(there.size() == 1);
}

TASK_TEST("a scope ended by an exception has put back what was there") {
    context_var<int> depth{"depth"};
    try {
        const auto here = depth.scoped(1);
        throw std::runtime_error("out of it");
    } catch (const std::runtime_error&) {
    }
    CHECK_THROWS_AS(depth.get(), weft::unset_variable);
    CHECK(context_of(fiber::current()).size() == 0);
}

TASK_TEST("run() sets in its context what the function sets, and the one before is back afterwards") {
    id.set(1);
    const context other;
    CHECK(other.run([] {
        CHECK(id.get() == -1);
        id.set(2);
        return id.get();
    }) == 2);
    CHECK(id.get() == 1);
    CHECK_THROWS_AS(other.run([] { throw std::runtime_error("out of it"); }), std::runtime_error);
    CHECK(id.get() == 1);
    CHECK(other.run([] { return id.get(); }) == 2);
    CHECK(other.run([&] { return context_of(fiber::current()) == other; }));
}

TASK_TEST("copies of a context are the same one, copy() is another") {
    const context one;
    const context same = one;
    const context another = one.copy();
    one.run([] { id.set(3); });
    CHECK(same == one);
    CHECK(same.size() == 1);
    CHECK_FALSE(another == one);
    CHECK(another.size() == 0);
}

TASK_TEST("a context can be read and assigned while its fiber is pending, running, suspended and dead") {
    context first, second;
    fiber f{[&] {
        CHECK(id.get() == 10);
        id.set(11);
        set_context(fiber::current(), context{});
        CHECK(id.get() == -1);
        id.set(12);
        second = context_of(fiber::current());
        suspend();
        CHECK(id.get() == 11);  // assigned while it was suspended
        set_context(fiber::current(), second);
        CHECK(id.get() == 12);
    }};
    first.run([] { id.set(10); });
    set_context(f, first);
    CHECK(context_of(f) == first);
    f.switch_to();
    CHECK(first.run([] { return id.get(); }) == 11);
    CHECK(context_of(f) == second);
    set_context(f, first);
    f.switch_to();
    CHECK(f.dead());
    CHECK(context_of(f).size() == 0);
    set_context(f, first);
    CHECK(context_of(f).size() == 0);
}

TASK_TEST("a context names the wrong thread and the missing fiber") {
    fiber f{[] { suspend(); }};
    f.switch_to();
    std::thread{[&] {
        CHECK_THROWS_AS(context_of(f), weft::wrong_thread);
        CHECK_THROWS_AS(set_context(f, context{}), weft::wrong_thread);
    }}.join();
    CHECK_THROWS_AS(context_of(fiber{}), std::invalid_argument);
    CHECK_THROWS_AS(set_context(fiber{}, context{}), std::invalid_argument);
}

TASK_TEST("a snapshot goes to another thread, and one context may be used by two") {
    id.set(4);
    const context snapshot = context::copy_current();
    int seen = 0;
    std::thread{[&] {
        seen = snapshot.run([] { return id.get(); });
        for (int i = 0; i < 1000; ++i) snapshot.run([i] { id.set(i); });
    }}.join();
    CHECK(seen == 4);
    const context shared;
    std::thread other{[&] {
        for (int i = 0; i < 2000; ++i) shared.run([i] { id.set(i); });
    }};
    for (int i = 0; i < 2000; ++i) CHECK(shared.run([] { return id.get(); }) < 2000);
    other.join();
    CHECK(id.get() == 4);
}

TASK_TEST("a fiber lets go of its context when it ends, after its locals; values die with the last holder") {
    context_var<std::shared_ptr<int>> owner{"owner"};
    const auto value = std::make_shared<int>(1);
    context kept;
    fiber{[&] { owner.set(value); }}.switch_to();
    CHECK(value.use_count() == 1);
    fiber{[&] {
        owner.set(value);
        kept = context_of(fiber::current());
    }}.switch_to();
    CHECK(value.use_count() == 2);
    kept = context{};
    CHECK(value.use_count() == 1);
    std::thread{[&] { owner.set(value); }}.join();
    CHECK(value.use_count() == 1);
}

TASK_TEST("a value stays good while another is set") {
    context_var<std::string> text{"text"};
    text.set("a value too long to lie in place, in the context");
    const std::string before = text.get();
    text.set("another");
    CHECK(before.substr(0, 7) == "a value");
}
