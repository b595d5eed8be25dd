// What base/mailbox.hpp promises: order, nothing lost, and an end.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/mailbox.hpp"

using namespace std::chrono_literals;
using weft::detail::mail;
using weft::detail::mailbox;

namespace {

std::vector<std::pair<int, int>> arrived;  // sender, number

struct numbered final : mail {
    numbered(int s, int n) noexcept : sender{s}, number{n} {}
    int sender, number;

    void arrive() noexcept override {
        arrived.emplace_back(sender, number);
        delete this;
    }
};

struct box_holder {
    mailbox& box = *new mailbox;
    box_holder() { arrived.clear(); }
    ~box_holder() {
        box.close();
        box.end(0);
    }
};

// How often it was written to since the last look.
std::uint64_t rings(int eventfd) {
    std::uint64_t count = 0;
    return read(eventfd, &count, sizeof count) == sizeof count ? count : 0;
}

struct bell {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ~bell() { close(fd); }
};

}  // namespace

TEST_CASE("mail arrives in the order of its posts, only when it is delivered") {
    const box_holder holder;
    for (int i = 0; i < 5; ++i) CHECK(holder.box.post(*new numbered{0, i}));
    CHECK(arrived.empty());
    CHECK_FALSE(holder.box.empty());
    CHECK(holder.box.deliver_all());
    CHECK(arrived == std::vector<std::pair<int, int>>{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}});
    CHECK_FALSE(holder.box.deliver_all());
}

TEST_CASE("an owner with mail does not go to sleep") {
    const box_holder holder;
    CHECK(holder.box.going_to_sleep());
    holder.box.woke_up();
    holder.box.post(*new numbered{0, 0});
    CHECK_FALSE(holder.box.going_to_sleep());
    holder.box.deliver_all();
    CHECK(holder.box.going_to_sleep());
}

TEST_CASE("closing delivers what is left and refuses what comes after, which stays the sender's") {
    auto* holder = new box_holder;
    mailbox& box = holder->box;
    box.add_ref();
    box.post(*new numbered{0, 1});
    delete holder;
    CHECK(arrived.size() == 1);
    numbered mine{0, 2};
    CHECK_FALSE(box.post(mine));
    CHECK(arrived.size() == 1);
    box.release();
}

TEST_CASE("many senders lose nothing, each one's mail stays in order, and a sleeping owner is woken") {
    constexpr int senders = 4, each = 2000;
    const box_holder holder;
    std::vector<std::thread> threads;
    for (int s = 0; s < senders; ++s)
        threads.emplace_back([&, s] {
            for (int i = 0; i < each; ++i) holder.box.post(*new numbered{s, i});
        });
    const auto limit = std::chrono::steady_clock::now() + 10s;
    while (arrived.size() < senders * each && std::chrono::steady_clock::now() < limit) {
        if (holder.box.going_to_sleep()) holder.box.sleep(nullptr);
        holder.box.woke_up();
        holder.box.deliver_all();
    }
    for (auto& t : threads) t.join();
    REQUIRE(arrived.size() == senders * each);
    int next[senders] = {};
    for (const auto& [sender, number] : arrived) REQUIRE(number == next[sender]++);
}

TEST_CASE("closing races with posts and loses none") {
    for (int round = 0; round < 200; ++round) {
        auto* holder = new box_holder;
        mailbox& box = holder->box;
        box.add_ref();
        std::atomic<int> taken{0};
        std::thread sender{[&] {
            for (int i = 0; i < 20; ++i) {
                auto* m = new numbered{0, i};
                if (box.post(*m)) ++taken;
                else delete m;
            }
        }};
        delete holder;
        sender.join();
        REQUIRE(arrived.size() == static_cast<std::size_t>(taken.load()));
        box.release();
    }
}

TEST_CASE("an owner that sleeps is woken once, one that does not is not") {
    const bell b;
    box_holder holder;
    holder.box.wake_by(b.fd);
    holder.box.post(*new numbered{0, 0});
    CHECK(rings(b.fd) == 0);
    holder.box.deliver_all();
    CHECK(holder.box.going_to_sleep());
    holder.box.post(*new numbered{0, 1});
    holder.box.post(*new numbered{0, 2});
    CHECK(rings(b.fd) == 1);
}

TEST_CASE("a wake-up that is owed leaves the owner asleep until it is paid, and the mail is there before") {
    const bell b;
    box_holder holder;
    holder.box.wake_by(b.fd);
    CHECK_FALSE(holder.box.post_and_owe(*new numbered{0, 0}));
    holder.box.deliver_all();
    CHECK(holder.box.going_to_sleep());
    CHECK(holder.box.post_and_owe(*new numbered{0, 1}));
    CHECK_FALSE(holder.box.post_and_owe(*new numbered{0, 2}));
    CHECK_FALSE(holder.box.empty());
    CHECK(rings(b.fd) == 0);
    mailbox::wake_owed();
    CHECK(rings(b.fd) == 1);
    mailbox::wake_owed();
    CHECK(rings(b.fd) == 0);
}

TEST_CASE("a sender may owe any number of owners their wake-ups, also one that ends meanwhile") {
    constexpr int many = 20;
    std::vector<bell> bells(many);
    {
        std::vector<box_holder> holders(many);
        for (int i = 0; i < many; ++i) {
            holders[i].box.wake_by(bells[i].fd);
            CHECK(holders[i].box.going_to_sleep());
            holders[i].box.post_and_owe(*new numbered{i, 0});
        }
    }
    CHECK(arrived.size() == many);
    mailbox::wake_owed();
    for (const bell& b : bells) CHECK(rings(b.fd) == 1);
}

TEST_CASE("nobody writes to an owner's eventfd once it is no longer the one to wake by") {
    constexpr int rounds = 300;
    box_holder holder;
    std::atomic<bool> ended{false};
    std::thread sender{[&] {
        while (!ended.load(std::memory_order_relaxed)) {
            if (holder.box.empty()) holder.box.post(*new numbered{0, 0});
        }
    }};
    for (int i = 0; i < rounds; ++i) {
        const bell b;
        holder.box.wake_by(b.fd);
        while (rings(b.fd) == 0) {
            holder.box.deliver_all();
            holder.box.going_to_sleep();
        }
        holder.box.going_to_sleep();
        holder.box.wake_by(-1);
        rings(b.fd);
        std::this_thread::yield();
        if (const auto late = rings(b.fd); late != 0) FAIL(late);
    }
    ended.store(true, std::memory_order_relaxed);
    sender.join();
}
