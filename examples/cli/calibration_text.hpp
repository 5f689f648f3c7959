// From the texts named on the command line to windows of tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "commands.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/text/packing.hpp"

namespace cli {

struct calibration_text {
    struct source {
        std::string name;
        std::size_t tokens;  ///< in all windows, those held out included
    };
    std::vector<source> sources;
    std::string framing;  ///< how the texts were read, as a sentence for people
    tessera::divided_windows windows;
    std::uint64_t seed;
};

/// Reads the texts with the tokenizer that a model's metadata describe, and cuts them into windows as the options say.
calibration_text read_calibration_text(const tessera::metadata& properties, const calibrate_options& options);

}  // namespace cli
