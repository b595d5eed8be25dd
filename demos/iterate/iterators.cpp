// Iterators by hand: each keeps in members where it has got to. generators.cpp does the same without members.
#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../demo.hpp"
#include "iteration.hpp"

namespace {

// A container of which nothing can be taken out again.
class closed_list {
public:
    void add(int item) { items_.push_back(item); }

private:
    std::vector<int> items_;
};

// With begin() and end() a container is iterable. Its iterator is a class of its own, so that two may be
// under way.
template <class T>
class open_list {
public:
    class iterator {
    public:
        explicit iterator(const open_list& list) : list_{&list} {}

        T next() {
            if (current_ == list_->items_.size()) throw weft::stop_iteration<>{};
            return list_->items_[current_++];
        }
        auto begin() { return demo::cursor{*this}; }
        std::default_sentinel_t end() const { return {}; }

    private:
        const open_list* list_;
        std::size_t current_ = 0;
    };

    void add(T item) { items_.push_back(std::move(item)); }
    auto begin() const { return items_.begin(); }
    auto end() const { return items_.end(); }
    iterator iter() const { return iterator{*this}; }

private:
    std::vector<T> items_;
};

// An iterator needs no container: this one computes its values.
class fib_iterator {
public:
    explicit fib_iterator(int count) : left_{count} {}

    int next() {
        if (left_-- <= 0) throw weft::stop_iteration<>{};
        return std::exchange(a_, std::exchange(b_, a_ + b_));
    }
    auto begin() { return demo::cursor{*this}; }
    std::default_sentinel_t end() const { return {}; }

private:
    int left_, a_ = 0, b_ = 1;
};

// In Python these are errors and answers of the running program, here the compiler's.
static_assert(!demo::iterable<int>);  // so `for (int i : 100)` does not compile
static_assert(!demo::iterable<closed_list>);
static_assert(demo::iterable<open_list<int>> && !demo::iterator<open_list<int>>);
static_assert(demo::iterable<fib_iterator> && demo::iterator<fib_iterator>);

template <class T>
void row(const char* what) {
    const auto say = [](bool answer) { return answer ? "True" : "False"; };
    std::printf("%-12s %-9s %s\n", what, say(demo::iterable<T>), say(demo::iterator<T>));
}

void truth_table() {
    std::puts("             iterable  iterator");
    row<std::vector<int>>("[]");
    row<std::set<int>>("{}");
    row<std::string>("'abc'");
    row<int>("100");
    row<closed_list>("closed_list");
    row<open_list<int>>("open_list");
    row<demo::place_in<std::vector<int>>>("iter([])");
    row<demo::place_in<std::string>>("iter('abc')");
}

void by_next() {
    std::vector numbers{11, 22, 33, 44, 55};
    auto it = demo::iter(numbers);
    try {
        for (;;) std::printf("%d\n", demo::next(it));
    } catch (const weft::stop_iteration_base&) {
        std::puts("StopIteration");
    }
}

void own_containers() {
    open_list<std::string> students;
    for (const char* name : {"张三", "李四", "C罗"}) students.add(name);
    for (const std::string& name : students.iter()) std::puts(name.c_str());

    open_list<int> mine;
    for (int i = 1; i <= 5; ++i) mine.add(i);
    for (int number : mine) std::printf("%d\n", number);
}

void fibonacci() {
    for (int count : {5, 10}) {
        for (int number : fib_iterator{count}) std::printf("%d ", number);
        std::puts("");
    }
    // Not only range-for takes what is iterable.
    std::vector<int> list;
    std::ranges::copy(fib_iterator{15}, std::back_inserter(list));
    std::array<int, 6> tuple{};
    std::ranges::copy(fib_iterator{6}, tuple.begin());
    std::printf("[%s]\n(%s)\n", demo::listed(list).c_str(), demo::listed(tuple).c_str());
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;
    truth_table();
    by_next();
    own_containers();
    fibonacci();
}
