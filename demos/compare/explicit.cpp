// The pipeline with explicit switches: each stage names the one that it hands an item to or asks for one.
// Nobody runs while a stage waits: there is no scheduler to ask.
#include <thread>
#include <utility>

#include <weft/fiber.hpp>

#include "pipeline.hpp"

namespace compare {

outcome run_explicit() {
    std::uint64_t switches = 0;
    const auto hop = [&](const weft::fiber& to, auto&&... values) {
        ++switches;
        return to.switch_to(std::forward<decltype(values)>(values)...);
    };

    // A stage asks by a switch without values; an answer without values is the end.
    const weft::fiber sink = weft::fiber::current();
    weft::fiber source, parser, transformer;
    source = weft::fiber{[&] {
        for (int item = 0; item < item_count; ++item) {
            hop(parser, make_line(item));
            if (waits_after(item)) std::this_thread::sleep_for(wait_time);
        }
        hop(parser);
    }};
    parser = weft::fiber{[&] {
        for (weft::message line = hop(source); !line.empty(); line = hop(source)) {
            hop(transformer, parse(line.as<std::string>()));
        }
        hop(transformer);
    }};
    transformer = weft::fiber{[&] {
        for (weft::message each = hop(parser); !each.empty(); each = hop(parser)) {
            hop(sink, transform(each.as<record>()));
        }
        hop(sink);
    }};

    demo::checksum sum;
    for (weft::message each = hop(transformer); !each.empty(); each = hop(transformer)) {
        const record result = each.as<record>();
        fold(result, sum);
        if (waits_after(result.id)) std::this_thread::sleep_for(wait_time);
    }
    return {sum.value(), switches};
}

}  // namespace compare
