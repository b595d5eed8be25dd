// The pipeline as tasks with queues between them: each stage is a plain loop, and the scheduler runs
// whoever can go on.
#include <utility>
#include <vector>

#include <weft/weft.hpp>

#include "pipeline.hpp"

namespace compare {

outcome run_automatic() {
    turns counted;
    weft::queue<std::string> lines{capacity};
    weft::queue<record> records{capacity}, results{capacity};

    std::vector<weft::task<void>> stages;
    stages.push_back(weft::spawn([&] {
        for (int item = 0; item < item_count; ++item) {
            lines.put(make_line(item));
            counted.turn_of(0);
            if (waits_after(item)) weft::sleep_for(wait_time);
        }
        lines.close();
    }));
    stages.push_back(weft::spawn([&] {
        while (auto line = lines.get()) {
            counted.turn_of(1);
            records.put(parse(*line));
            counted.turn_of(1);
        }
        records.close();
    }));
    stages.push_back(weft::spawn([&] {
        while (auto each = records.get()) {
            counted.turn_of(2);
            results.put(transform(std::move(*each)));
            counted.turn_of(2);
        }
        results.close();
    }));

    demo::checksum sum;
    while (auto result = results.get()) {
        counted.turn_of(3);
        fold(*result, sum);
        if (waits_after(result->id)) weft::sleep_for(wait_time);
    }
    for (auto& stage : stages) stage.get();
    return {sum.value(), counted.switches};
}

}  // namespace compare
