// The commands of the program `tessera`: plain functions of plain options. They throw on failure; main prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cli {

/// What is listed of a model: its metadata, tensors, formats and size.
struct inspect_options {
    std::filesystem::path model;
    bool json = false;
};
void inspect(const inspect_options& options);

/// Where a new model goes and how it gets there.
struct output_options {
    std::filesystem::path path;
    bool force = false;    ///< replace an existing file
    bool dry_run = false;  ///< print the plan and the exact size, write nothing
    int threads = 0;
};

/// Another container or full-precision type for the same weights.
struct convert_options {
    std::filesystem::path model;
    std::string type = "F16";
    output_options output;
};
void convert(const convert_options& options);

/// Tensors whose names a regular expression matches get a format of their own; the first match decides.
struct pin {
    std::string pattern;
    std::string format;
};

/// How much columns matter.
struct importance_options {
    std::filesystem::path file;        ///< an importance matrix, GGUF or legacy; empty: all columns count alike
    std::uint64_t enough_tokens = 64;  ///< experts that fewer reached are blended with the others
};

/// Formats chosen by name: pins first, then one format for all or a recipe of llama.cpp.
struct named_formats {
    std::string format;  ///< this or a recipe
    std::string recipe;
    std::vector<pin> pins;
};

struct quantize_options {
    std::filesystem::path model;
    named_formats names;
    std::filesystem::path plan;  ///< a plan file instead of names
    importance_options importances;
    output_options output;
};
void quantize(const quantize_options& options);

/// Which format every tensor should have, without writing a model.
struct plan_options {
    std::filesystem::path model;
    std::filesystem::path damage;  ///< a damage file
    named_formats names;
    std::optional<std::uint64_t> target_bytes;  ///< of the whole file; these, a format, a recipe, or the curve
    std::optional<double> target_bits_per_weight;
    std::optional<double> target_kld;
    std::string menu = "all";  ///< formats to choose from within a target
    bool curve = false;        ///< the least damage over a range of sizes instead of one plan
    bool json = false;         ///< print the curve as JSON
    std::filesystem::path svg;           ///< draw the curve
    std::filesystem::path output;        ///< the plan file
    std::filesystem::path tensor_types;  ///< the plan as options of llama-quantize
    bool force = false;                  ///< replace existing files
};
void plan(const plan_options& options);

/// How far candidates are from a reference on a text.
struct evaluate_options {
    std::filesystem::path reference;
    std::vector<std::filesystem::path> candidates;
    std::filesystem::path text;
    std::size_t window = 0;         ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t window_limit = 0;   ///< 0: all the text has
    bool json = false;
    int threads = 0;
};
void evaluate(const evaluate_options& options);

}  // namespace cli
