// What base/list.hpp promises of its ring.
#include <vector>

#include <doctest/doctest.h>

#include "base/list.hpp"

namespace {

struct item : weft::detail::list_node {
    explicit item(int n) : number{n} {}
    int number;
};

std::vector<int> contents(weft::detail::list<item>& list) {
    std::vector<int> numbers;
    for (item* i = list.front(); i; i = list.after(*i)) numbers.push_back(i->number);
    return numbers;
}

}  // namespace

TEST_CASE("a list keeps both ends, and a node knows whether it is linked") {
    weft::detail::list<item> list;
    item a{1}, b{2}, c{3};
    CHECK(list.empty());
    CHECK(list.front() == nullptr);
    CHECK(list.back() == nullptr);
    CHECK_FALSE(a.linked());
    list.push_back(b);
    list.push_back(c);
    list.push_front(a);
    CHECK(contents(list) == std::vector{1, 2, 3});
    CHECK(list.back() == &c);
    CHECK(b.linked());
}

TEST_CASE("a node leaves from the middle or by pop_front(), and may come back") {
    weft::detail::list<item> list;
    item a{1}, b{2}, c{3};
    for (item* i : {&a, &b, &c}) list.push_back(*i);
    b.unlink();
    CHECK_FALSE(b.linked());
    CHECK(contents(list) == std::vector{1, 3});
    CHECK(list.pop_front() == &a);
    list.push_back(b);
    CHECK(contents(list) == std::vector{3, 2});
    CHECK(list.pop_front() == &c);
    CHECK(list.pop_front() == &b);
    CHECK(list.pop_front() == nullptr);
}
