// The commands of the program `tessera`: verbs of tessera::app, and what is printed of them. They throw on failure; run
// prints.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tessera/app/ablate.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/calibrate.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/evaluate.hpp"
#include "tessera/app/plan.hpp"
#include "tessera/app/quantize.hpp"

namespace cli {

namespace app = tessera::app;

/// Whether results are printed for people or as JSON.
enum class printed { text, json };

/// Whether the work is done, or only said what it would take and write.
enum class run_kind { real, dry };

struct inspect_command {
    std::filesystem::path model;
    printed as = printed::text;
};
void inspect(const inspect_command& command, const app::any_formats& formats);

struct convert_command {
    app::convert_options options;
    run_kind kind = run_kind::real;
};
void convert(const convert_command& command, const app::any_encoders& formats);

struct quantize_command {
    app::quantize_options options;
    run_kind kind = run_kind::real;
    printed as = printed::text;  ///< of a dry run that foretells
};
void quantize(const quantize_command& command, const app::any_encoders& formats);

struct plan_command {
    app::plan_options options;
    bool is_curve = false;  ///< the least damage over a range of sizes instead of one plan
    printed as = printed::text;
    run_kind kind = run_kind::real;
};
void plan(const plan_command& command, const app::any_encoders& formats);

/// What if some tensors of a plan had other formats?
struct ablate_command {
    app::ablate_options options;
    std::vector<std::string> classes;  ///< NAME=REGEX or REGEX; none: the usual ones
    std::string format;                ///< for all of a class; or
    std::optional<double> bits;        ///< the format nearest to so many bits; or one down and one up
    std::string menu = "kquants";      ///< formats to choose from
    printed as = printed::text;
    run_kind kind = run_kind::real;
};
void ablate(const ablate_command& command, const app::any_encoders& formats);

struct calibrate_command {
    app::calibrate_options options;
    printed as = printed::text;
    run_kind kind = run_kind::real;
};
void calibrate(const calibrate_command& command, const app::any_formats& formats);

struct evaluate_command {
    app::evaluate_options options;
    printed as = printed::text;
    run_kind kind = run_kind::real;
};
void evaluate(const evaluate_command& command, const app::any_formats& formats);

}  // namespace cli
