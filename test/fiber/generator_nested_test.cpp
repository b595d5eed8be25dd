// What weft/generator.hpp promises of generators in generators, and of the fibers that draw from them.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/generator.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"

using test::counted;
using weft::fiber;
using weft::generator;
using weft::yielder;

namespace {

using numbers = std::vector<int>;
using strings = std::vector<std::string>;

template <class Range>
auto all_of(Range values) {
    std::vector<typename Range::value_type> found;
    for (auto&& value : values) found.push_back(std::forward<decltype(value)>(value));
    return found;
}

// Lists of lists, as an inner generator per element gives them.
generator<numbers> permutations(numbers of) {
    return generator<numbers>{[of = std::move(of)](yielder<numbers>& out) {
        if (of.size() < 2) {
            out.yield(of);
            return;
        }
        for (const int first : of) {
            numbers others;
            for (const int other : of)
                if (other != first) others.push_back(other);
            for (numbers tail : permutations(others)) {
                tail.insert(tail.begin(), first);
                out.yield(std::move(tail));
            }
        }
    }};
}

struct node {
    int value;
    std::unique_ptr<node> left{}, right{};
};

std::unique_ptr<node> leaf(int value) { return std::make_unique<node>(node{value}); }

// 1 2 3 4 5, from left to right.
node tree_of_five() {
    node root{4, leaf(2), leaf(5)};
    root.left->left = leaf(1);
    root.left->right = leaf(3);
    return root;
}

void walk_by_calls(const node* at, yielder<const int&>& out) {
    if (!at) return;
    walk_by_calls(at->left.get(), out);
    out.yield(at->value);
    walk_by_calls(at->right.get(), out);
}

generator<const int&> walk_by_generators(const node* at) {
    return generator<const int&>{[at](yielder<const int&>& out) {
        if (!at) return;
        out.yield_from(walk_by_generators(at->left.get()));
        out.yield(at->value);
        out.yield_from(walk_by_generators(at->right.get()));
    }};
}

generator<int> count_by_recursion(int last) {
    return generator<int>{[last](yielder<int>& out) {
        if (last == 0) return;
        for (int i : count_by_recursion(last - 1)) out.yield(i);
        out.yield(last);
    }};
}

}  // namespace

TASK_TEST("a body yields from the depth of its calls") {
    const node root = tree_of_five();
    generator<const int&> g{[&](yielder<const int&>& out) { walk_by_calls(&root, out); }};
    CHECK(all_of(std::move(g)) == numbers{1, 2, 3, 4, 5});
}

TASK_TEST("a generator that recurses through generators of its own") {
    const node root = tree_of_five();
    CHECK(all_of(walk_by_generators(&root)) == numbers{1, 2, 3, 4, 5});
    CHECK(all_of(count_by_recursion(5)) == numbers{1, 2, 3, 4, 5});
}

TASK_TEST("the permutations of four, from generators four deep") {
    const auto all = all_of(permutations({0, 1, 2, 3}));
    CHECK(all.size() == 24);
    CHECK(all.front() == numbers{0, 1, 2, 3});
    CHECK(all.back() == numbers{3, 2, 1, 0});
}

TASK_TEST("two generators are drawn from in turn") {
    auto fours = permutations({0, 1, 2, 3});
    auto threes = permutations({0, 1, 2});
    std::vector<std::pair<numbers, numbers>> pairs;
    while (auto three = threes.try_next()) pairs.emplace_back(fours.next(), *three);
    CHECK(pairs == std::vector<std::pair<numbers, numbers>>{{{0, 1, 2, 3}, {0, 1, 2}},
                                                            {{0, 1, 3, 2}, {0, 2, 1}},
                                                            {{0, 2, 1, 3}, {1, 0, 2}},
                                                            {{0, 2, 3, 1}, {1, 2, 0}},
                                                            {{0, 3, 1, 2}, {2, 0, 1}},
                                                            {{0, 3, 2, 1}, {2, 1, 0}}});
}

TASK_TEST("body and caller alternate strictly") {
    numbers seen;
    for (int lap = 0; lap < 3; ++lap) {
        generator<int> g{[&](yielder<int>& out) {
            for (int i = 0; i < 5; ++i) {
                seen.push_back(i + 1);
                [&](int value) { out.yield(value); }(i);
            }
        }};
        for (int i : g) seen.push_back(i);
    }
    numbers expected;
    for (int lap = 0; lap < 3; ++lap)
        for (int number : {1, 0, 2, 1, 3, 2, 4, 3, 5, 4}) expected.push_back(number);
    CHECK(seen == expected);
}

TASK_TEST("an inner generator yields past its own caller, and is resumed where it did") {
    numbers seen;
    generator<int> outer{[&](yielder<int>& two_levels_up) {
        generator<int> inner{[&](yielder<int>& one_level_up) {
            for (int i = 1; i < 5; ++i) {
                one_level_up.yield(i);
                two_levels_up.yield(i * i);
            }
        }};
        for (int i : inner) seen.push_back(i);
    }};
    for (int i : outer) seen.push_back(i);
    CHECK(seen == numbers{1, 1, 2, 4, 3, 9, 4, 16});
}

TASK_TEST("closing an outer generator unwinds the inner one that had yielded past it") {
    int unwound = 0;
    for (const bool by_close : {true, false}) {
        generator<int> outer{[&](yielder<int>& out) {
            generator<int> inner{[&](yielder<int>&) {
                try {
                    out.yield(1);
                } catch (const weft::fiber_exit&) {
                    ++unwound;
                    throw;
                }
            }};
            inner.next();
        }};
        CHECK(outer.next() == 1);
        if (by_close) outer.close();
    }
    CHECK(unwound == 2);
}

TASK_TEST("a generator yields to whichever fiber asks") {
    auto g = count_by_recursion(6);
    numbers mine, theirs;
    fiber other{[&] {
        for (;;) {
            theirs.push_back(g.next());
            fiber::current().parent().switch_to();
        }
    }};
    for (int i = 0; i < 3; ++i) {
        mine.push_back(g.next());
        other.switch_to();
    }
    CHECK(mine == numbers{1, 3, 5});
    CHECK(theirs == numbers{2, 4, 6});
}

TASK_TEST("a generator ends to the fiber that asked, also to one that its body has made") {
    const fiber home = fiber::current();
    fiber made;
    bool stopped = false;
    counted::reset();
    std::optional<generator<int>> g;
    g.emplace([&, kept = counted{1}](yielder<int>& out) {
        made = fiber{[&] {
            stopped = !g->try_next();
            home.switch_to();
        }};
        out.yield(1);
    });
    g->next();
    made.switch_to();
    CHECK(stopped);
    CHECK(g->done());
    CHECK(counted::destroyed == 1);
    made = fiber{};
}

TASK_TEST("yield_from passes values, what is sent, errors and the result through") {
    strings heard;
    generator<int, std::string, int> outer{[&](yielder<int, std::string>& out) {
        generator<int, std::string, int> inner{[&](yielder<int, std::string>& deeper) {
            heard.push_back(deeper.yield(1).value_or("nothing"));
            try {
                deeper.yield(2);
            } catch (const std::runtime_error& error) {
                heard.push_back(error.what());
            }
            heard.push_back(deeper.yield(3).value_or("nothing"));
            return 40;
        }};
        return out.yield_from(inner) + 2;
    }};
    CHECK(outer.next() == 1);
    CHECK(outer.send("hello") == 2);
    CHECK(outer.throw_into(std::runtime_error("thrown")) == 3);
    CHECK_THROWS_AS(outer.next(), weft::stop_iteration<int>);
    CHECK(outer.result() == 42);
    CHECK(heard == strings{"hello", "thrown", "nothing"});
}

TASK_TEST("closing a generator closes the one that it yields from, first") {
    strings log;
    generator<int> inner{[&](yielder<int>& out) {
        try {
            out.yield(1);
        } catch (const weft::fiber_exit&) {
            log.push_back("inner");
            throw;
        }
    }};
    generator<int> outer{[&](yielder<int>& out) {
        try {
            out.yield_from(inner);
        } catch (const weft::fiber_exit&) {
            log.push_back("outer");
            throw;
        }
    }};
    CHECK(outer.next() == 1);
    outer.close();
    CHECK(inner.done());
    CHECK(log == strings{"inner", "outer"});
}

TASK_TEST("an error of the inner generator comes out of yield_from") {
    generator<int> outer{[](yielder<int>& out) {
        try {
            out.yield_from(generator<int>{[](yielder<int>& inner) {
                inner.yield(1);
                throw std::runtime_error("inner");
            }});
        } catch (const std::runtime_error&) {
            out.yield(-1);
        }
    }};
    CHECK(outer.next() == 1);
    CHECK(outer.next() == -1);
}

TASK_TEST("yield_from a range yields its elements") {
    generator<int> g{[](yielder<int>& out) { out.yield_from(std::vector{4, 5}); }};
    CHECK(g.next() == 4);
    CHECK(g.next() == 5);
    CHECK_FALSE(g.try_next());
}

