// The pairing heap against a model: a multimap whose equal keys keep their order.
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "sched/deadline_queue.hpp"


using weft::detail::deadline_node;
using weft::detail::deadline_queue;

namespace {

struct model {
    deadline_queue heap;
    std::multimap<weft::clock::time_point, deadline_node*> truth;
    std::vector<std::unique_ptr<deadline_node>> nodes;

    void insert(deadline_node& node, int when) {
        node.when = weft::clock::time_point{weft::clock::duration{when}};
        heap.insert(node);
        truth.emplace(node.when, &node);
    }
    void erase(deadline_node& node) {
        heap.erase(node);
        auto [at, end] = truth.equal_range(node.when);
        while (at != end && at->second != &node) ++at;
        REQUIRE(at != end);
        truth.erase(at);
    }
    bool agrees() const {
        return heap.first() == (truth.empty() ? nullptr : truth.begin()->second);
    }
};

}  // namespace

TEST_CASE("an empty queue has no first") {
    deadline_queue heap;
    CHECK(heap.first() == nullptr);
}

TEST_CASE("random insertions and removals leave the first that the model has") {
    for (const unsigned seed : {1u, 2u, 3u, 4u}) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        model m;
        for (int i = 0; i < 200; ++i) m.nodes.push_back(std::make_unique<deadline_node>());
        for (int step = 0; step < 20'000; ++step) {
            deadline_node& node = *m.nodes[random() % m.nodes.size()];
            if (!node.queued) m.insert(node, static_cast<int>(random() % 50));
            else m.erase(node);
            REQUIRE(m.agrees());
        }
        while (deadline_node* first = m.heap.first()) {
            m.erase(*first);
            REQUIRE(m.agrees());
        }
        CHECK(m.truth.empty());
    }
}

TEST_CASE("equal deadlines come out in the order in which they went in, whatever is removed between") {
    deadline_queue heap;
    std::vector<deadline_node> nodes(100);
    for (auto& node : nodes) heap.insert(node);
    for (std::size_t i = 0; i < nodes.size(); i += 3) heap.erase(nodes[i]);
    std::size_t expected = 0;
    while (deadline_node* first = heap.first()) {
        while (expected % 3 == 0) ++expected;
        REQUIRE(first == &nodes[expected++]);
        heap.erase(*first);
    }
    CHECK(expected >= 99);
}
