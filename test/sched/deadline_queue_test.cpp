// The queue of deadlines against a model: a multimap whose equal keys keep their order.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "sched/deadline_queue.hpp"

using namespace std::chrono_literals;
using weft::detail::deadline_node;
using weft::detail::deadline_queue;
using time_point = weft::clock::time_point;
using duration = weft::clock::duration;

namespace {

struct model {
    deadline_queue queue;
    std::multimap<time_point, deadline_node*> truth;
    std::vector<std::unique_ptr<deadline_node>> nodes;
    time_point now{100h};

    explicit model(int count) {
        for (int i = 0; i < count; ++i) nodes.push_back(std::make_unique<deadline_node>());
        (void)queue.due(now);
    }
    void insert(deadline_node& node, duration span) {
        node.when = now + span;
        queue.insert(node);
        truth.emplace(node.when, &node);
    }
    void erase(deadline_node& node) {
        queue.erase(node);
        auto [at, end] = truth.equal_range(node.when);
        while (at != end && at->second != &node) ++at;
        REQUIRE(at != end);
        truth.erase(at);
    }
    deadline_node* first() const { return truth.empty() ? nullptr : truth.begin()->second; }
    /// Takes out what is due, in the model's order.
    void take_due() {
        while (deadline_node* due = queue.due(now)) {
            REQUIRE(due == first());
            REQUIRE(due->when <= now);
            erase(*due);
        }
        REQUIRE((!first() || first()->when > now));
    }
    /// Waits as the hub does, until all is taken out. @returns how often it woke for nothing
    int drain() {
        int in_vain = 0;
        for (time_point next; (next = queue.next()) != time_point::max();) {
            REQUIRE(next <= first()->when);
            REQUIRE(next >= first()->when - 540ms);
            in_vain += next != first()->when;
            now = std::max(now, next);
            take_due();
        }
        REQUIRE(truth.empty());
        return in_vain;
    }
};

}  // namespace

TEST_CASE("an empty queue has nothing due and no next") {
    deadline_queue queue;
    CHECK(queue.due(time_point{1h}) == nullptr);
    CHECK(queue.next() == time_point::max());
}

TEST_CASE("random insertions, removals and steps of time give what the model gives") {
    const duration spans[] = {50ns, 3ms, 600ms, 3s, 10min, 100h};
    for (const unsigned seed : {1u, 2u, 3u, 4u, 5u, 6u}) {
        CAPTURE(seed);
        std::mt19937_64 random{seed};
        model m{200};
        const auto some = [&](duration most) {
            return duration{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most.count()))};
        };
        for (int step = 0; step < 20'000; ++step) {
            deadline_node& node = *m.nodes[random() % m.nodes.size()];
            if (node.queued) m.erase(node);
            else m.insert(node, some(spans[random() % (seed % 6 + 1)]) - 20ns);
            if (random() % 4 == 0) {
                m.now += some(spans[random() % (seed % 6 + 1)]) / 8;
                m.take_due();
            }
            if (random() % 8 == 0 && m.first()) REQUIRE(m.queue.next() <= m.first()->when);
        }
        m.drain();
    }
}

TEST_CASE("equal deadlines come out in the order in which they went in, whatever is removed between") {
    for (const duration span : {duration{0}, duration{10ms}, duration{2s}, duration{1h}}) {
        model m{100};
        // Some from afar, some when it is near: they enter the heap by different ways.
        const time_point when = m.now + span;
        for (std::size_t i = 0; i < 50; ++i) m.insert(*m.nodes[i], when - m.now);
        m.now += span * 9 / 10;
        m.take_due();
        for (std::size_t i = 50; i < 100; ++i)
            if (!m.nodes[i]->queued) m.insert(*m.nodes[i], when - m.now);
        for (std::size_t i = 0; i < 100; i += 3)
            if (m.nodes[i]->queued) m.erase(*m.nodes[i]);
        m.now = when;
        m.take_due();
        CHECK(m.truth.empty());
    }
}

TEST_CASE("the next deadline is told exactly if it is near, and a far one costs one vain look") {
    model m{1};
    for (const duration span : {duration{1ns}, duration{1234567ns}, duration{500ms}}) {
        m.insert(*m.nodes[0], span);
        CHECK(m.drain() == 0);
    }
    for (const duration span : {duration{2s}, duration{4min}}) {
        m.insert(*m.nodes[0], span);
        CHECK(m.drain() <= 1);
    }
    m.insert(*m.nodes[0], 24h * 365 * 100);
    CHECK(m.drain() == 0);
}

TEST_CASE("a jump of time over the whole wheel leaves nothing behind") {
    for (const duration jump : {duration{3s}, duration{5min}, duration{24h * 365 * 50}}) {
        model m{600};
        for (std::size_t i = 0; i < m.nodes.size(); ++i) m.insert(*m.nodes[i], 470ms * static_cast<int>(i));
        m.now += jump;
        m.take_due();
        m.drain();
    }
}
