// What weft/message.hpp promises.
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <weft/message.hpp>

#include "support/counted.hpp"

using test::counted;
using weft::message;

namespace {

std::string complaint(auto&& ask) {
    try {
        ask();
    } catch (const weft::bad_message& e) {
        return e.what();
    }
    return "no complaint";
}

bool mentions(const std::string& text, const char* words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("a message of nothing is empty") {
    message m = message::of();
    CHECK(m.empty());
    CHECK(m.size() == 0);
    CHECK(m.holds<>());
    CHECK_NOTHROW(m.get<>());
}

TEST_CASE("one value comes out as it went in, and once") {
    message m = message::of(42);
    CHECK(m.size() == 1);
    CHECK(m.as<int>() == 42);
    CHECK(m.empty());
    CHECK_THROWS_AS(m.as<int>(), weft::bad_message);
}

TEST_CASE("several values come out in their order") {
    message m = message::of(1, 2.5, std::string{"three"});
    CHECK(m.holds<int, double, std::string>());
    auto [i, d, s] = m.get<int, double, std::string>();
    CHECK(i == 1);
    CHECK(d == 2.5);
    CHECK(s == "three");
    CHECK(m.empty());
}

TEST_CASE("a string literal travels as std::string") {
    char changes[] = "before";
    message m = message::of("literal", changes);
    changes[0] = 'B';
    auto [literal, array] = m.get<std::string, std::string>();
    CHECK(literal == "literal");
    CHECK(array == "before");
}

TEST_CASE("values travel decayed, without their references and consts") {
    const int number = 7;
    const int& same = number;
    message m = message::of(same);
    CHECK(m.as<int>() == 7);
}

TEST_CASE("move-only values travel") {
    message m = message::of(std::make_unique<int>(5));
    message moved = std::move(m);
    CHECK(m.empty());
    CHECK(*moved.as<std::unique_ptr<int>>() == 5);
}

TEST_CASE("a type must be asked for exactly as it was sent, and the error names both sides") {
    message m = message::of(1, std::string{"two"});
    const std::string text = complaint([&] { (void)m.get<long, std::string>(); });
    CHECK(mentions(text, "(int, std::string)"));
    CHECK(mentions(text, "(long, std::string)"));
}

TEST_CASE("a wrong number of values is named too") {
    message m = message::of(1);
    const std::string text = complaint([&] { (void)m.get<int, int>(); });
    CHECK(mentions(text, "(int)"));
    CHECK(mentions(text, "(int, int)"));
    CHECK(mentions(complaint([] { (void)message{}.as<int>(); }), "holds ()"));
}

TEST_CASE("a question for the wrong type loses nothing") {
    message m = message::of(1);
    CHECK_THROWS_AS((void)m.as<unsigned>(), weft::bad_message);
    CHECK(m.as<int>() == 1);
}

TEST_CASE("a value that nobody takes is destroyed once, with the message") {
    counted::reset();
    {
        message m = message::of(counted{1});
        message moved = std::move(m);
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::destroyed == 1);
}

TEST_CASE("a value that is taken is destroyed once, by its receiver") {
    counted::reset();
    {
        message m = message::of(counted{1}, counted{2});
        auto [a, b] = m.get<counted, counted>();
        CHECK(counted::alive == 2);
        CHECK(a.number + b.number == 3);
    }
    CHECK(counted::destroyed == 2);
}

TEST_CASE("assignment destroys what was inside") {
    counted::reset();
    message m = message::of(counted{1});
    m = message::of(counted{2});
    CHECK(counted::destroyed == 1);
    auto& same = m;
    m = std::move(same);
    CHECK(m.as<counted>().number == 2);
    CHECK(counted::destroyed == 2);
}

TEST_CASE("values too large to lie in place travel all the same") {
    counted::reset();
    std::array<long, 100> large{};
    large[99] = 99;
    {
        message m = message::of(large, counted{3});
        message moved = std::move(m);
        auto [array, value] = moved.get<std::array<long, 100>, counted>();
        CHECK(array == large);
        CHECK(value.number == 3);
    }
    CHECK(counted::destroyed == 1);
}

TEST_CASE("over-aligned values keep their alignment") {
    struct alignas(64) wide {
        int number;
    };
    message m = message::of(wide{9});
    message moved = std::move(m);
    const wide taken = moved.as<wide>();
    CHECK(taken.number == 9);
    CHECK(reinterpret_cast<std::uintptr_t>(&taken) % 64 == 0);
}

TEST_CASE("a value whose move throws is not lost by moving its message") {
    struct touchy {
        explicit touchy(int n) : number{n} {}
        touchy(const touchy& other) : number{other.number} {}
        int number;
    };
    message m = message::of(touchy{4});
    message moved = std::move(m);
    CHECK(moved.as<touchy>().number == 4);
}

TEST_CASE("a copy that throws leaves no message behind") {
    struct refusing {
        refusing() = default;
        refusing(const refusing&) { throw std::runtime_error("not to be copied"); }
    };
    counted::reset();
    const refusing value;
    CHECK_THROWS_AS((void)message::of(counted{1}, value), std::runtime_error);
    CHECK(counted::alive == 0);
}
