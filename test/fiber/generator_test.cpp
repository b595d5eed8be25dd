// What weft/generator.hpp promises of values, of ranges, and of bodies that wait.
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/generator.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;
using weft::fiber;
using weft::generator;
using weft::yielder;

static_assert(std::ranges::input_range<generator<int>>);
static_assert(!std::ranges::forward_range<generator<int>>);
static_assert(std::is_same_v<std::ranges::range_reference_t<generator<int>>, int&&>);
static_assert(std::is_same_v<std::ranges::range_reference_t<generator<int&>>, int&>);
static_assert(!std::is_copy_constructible_v<generator<int>>);

namespace {

generator<int> count_to(int last) {
    return generator<int>{[last](yielder<int>& out) {
        for (int i = 1; i <= last; ++i) out.yield(i);
    }};
}

template <class T, class... Rest>
std::vector<T> all_of(generator<T, Rest...> values) {
    std::vector<T> found;
    for (auto value : values) found.push_back(std::move(value));
    return found;
}

using numbers = std::vector<int>;

}  // namespace

TASK_TEST("a generator hands out its values one at a time, in order, and then stops") {
    auto three = count_to(3);
    CHECK(three.next() == 1);
    CHECK(three.next() == 2);
    CHECK(three.next() == 3);
    CHECK_FALSE(three.done());
    CHECK_THROWS_AS(three.next(), weft::stop_iteration<>);
    CHECK(three.done());
    CHECK_THROWS_AS(three.next(), weft::stop_iteration_base);
}

TASK_TEST("making a generator runs none of its body, and destroying it then neither") {
    bool ran = false;
    counted::reset();
    {
        generator<int> g{[&ran, value = counted{1}](yielder<int>&) { ran = true; }};
        CHECK_FALSE(g.done());
    }
    CHECK_FALSE(ran);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("a range-for ends with the generator; a generator without values has none") {
    CHECK(all_of(count_to(4)) == numbers{1, 2, 3, 4});
    CHECK(all_of(count_to(0)).empty());
}

TASK_TEST("a range-for that is left goes on where it stopped") {
    auto five = count_to(5);
    for (int i : five)
        if (i == 2) break;
    numbers rest;
    for (int i : five) rest.push_back(i);
    CHECK(rest == numbers{3, 4, 5});
}

TASK_TEST("the standard's range algorithms take a generator") {
    numbers squares;
    std::ranges::transform(count_to(3), std::back_inserter(squares), [](int&& i) { return i * i; });
    CHECK(squares == numbers{1, 4, 9});
    auto five = count_to(5);
    CHECK(*std::ranges::find(five, 3) == 3);
    CHECK(five.next() == 4);
}

TASK_TEST("try_next answers empty at the end") {
    auto one = count_to(1);
    const std::optional<int> first = one.try_next();
    CHECK(first == 1);
    CHECK(one.try_next() == std::nullopt);
    CHECK(one.try_next() == std::nullopt);
}

TASK_TEST("a move-only value is moved from the yielding frame to the caller of next") {
    counted::reset();
    {
        generator<counted> g{[](yielder<counted>& out) {
            out.yield(counted{1});
            counted second{2};
            out.yield(std::move(second));
            out.yield(counted{3});
            out.yield(counted{4});
        }};
        CHECK(g.next().number == 1);
        CHECK(counted::destroyed == 1);
        const auto second = g.try_next();
        CHECK(second->number == 2);
        for (counted third : g) {
            CHECK(third.number == 3);
            break;
        }
        CHECK(counted::alive == 1);
        g.begin();  // the fourth is not taken
        CHECK(counted::alive == 2);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 4);
}

TASK_TEST("an lvalue that is yielded is copied once, and stays what it was") {
    generator<std::string> g{[](yielder<std::string>& out) {
        const std::string kept = "a text that is too long to lie in place";
        out.yield(kept);
        out.yield(kept + '!');
    }};
    const std::string first = g.next();
    CHECK(g.next() == first + '!');
}

TASK_TEST("a reference is handed out as it is") {
    int number = 1;
    generator<int&> g{[&](yielder<int&>& out) {
        for (;;) out.yield(number);
    }};
    ++g.next();
    ++*g.try_next();
    for (int& same : g) {
        CHECK(&same == &number);
        break;
    }
    CHECK(number == 3);
}

TASK_TEST("what is yielded lies in the body's frame until the generator is resumed") {
    counted::reset();
    generator<const counted&> g{[](yielder<const counted&>& out) {
        out.yield(counted{7});
        out.yield(counted{8});
    }};
    const counted& seven = g.next();
    CHECK(counted::alive == 1);
    CHECK(seven.number == 7);
    CHECK(g.next().number == 8);
    CHECK(counted::destroyed == 1);
}

TASK_TEST("the body may wait: who called next waits, and everybody else runs") {
    weft::event gate;
    generator<int> g{[&](yielder<int>& out) {
        gate.wait();
        out.yield(1);
        weft::sleep_for(5s);
        out.yield(2);
    }};
    numbers seen;
    auto asking = weft::spawn([&] {
        for (int i : g) seen.push_back(i);
    });
    test::settle();
    CHECK_THROWS_AS(g.next(), weft::generator_misuse);  // it runs: in its wait
    gate.set();
    test::settle();
    CHECK(seen == numbers{1});
    test::clock.advance(5s);
    asking.get();
    CHECK(seen == numbers{1, 2});
}

TASK_TEST("a task killed in next meets the kill at its first own wait") {
    weft::event gate;
    generator<int> g{[&](yielder<int>& out) {
        gate.wait();
        out.yield(1);
    }};
    int got = 0;
    auto asking = weft::spawn([&] {
        got = g.next();
        weft::yield();
        got = 2;
    });
    test::settle();
    asking.kill(weft::deadline::after(0s));
    CHECK_FALSE(asking.ready());
    gate.set();
    asking.join();
    CHECK(got == 1);
}

TASK_TEST("a generator moves, and a moved-from one has ended") {
    auto first = count_to(3);
    first.next();
    auto second = std::move(first);
    CHECK(first.done());
    CHECK_THROWS_AS(first.next(), weft::stop_iteration<>);
    CHECK_THROWS_AS(first.throw_into(std::runtime_error("back")), std::runtime_error);
    CHECK_THROWS_AS(first.throw_into(std::exception_ptr{}), std::invalid_argument);
    first.close();
    CHECK(second.next() == 2);
    second = count_to(1);
    CHECK(all_of(std::move(second)) == numbers{1});
}
