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

struct quantize_options {
    std::filesystem::path model;
    std::string format;
    std::vector<pin> pins;
    importance_options importances;
    output_options output;
};
void quantize(const quantize_options& options);

/// What a model feels when it reads texts, kept as an importance matrix.
struct calibrate_options {
    std::filesystem::path model;
    std::vector<std::string> texts;      ///< files, directories, patterns, each perhaps with "=WEIGHT" behind it
    std::vector<std::string> token_ids;  ///< the same for files of token ids
    std::filesystem::path output;
    std::filesystem::path report;  ///< JSON; empty: none
    std::string separator;         ///< between documents of a file; empty: a file is a document
    std::string chunks = "packed";
    std::optional<double> held_back;  ///< share; nothing: 0.1 of packed windows, none of contiguous ones
    std::size_t window = 0;           ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t tokens = 0;           ///< to work on at most; 0: all that the texts have
    std::uint64_t seed = 1;
    std::uint64_t enough_tokens = 64;  ///< experts that fewer reached are reported as rare
    bool parse_special = false;
    bool restart = false;  ///< do not go on from where an interrupted run was
    bool force = false;
    int threads = 0;
};
void calibrate(const calibrate_options& options);

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
