// The commands of the program `tessera`: plain functions of plain options. They throw on failure; main prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/output_rule.hpp"

namespace cli {

/// Which output matrix a model has where config.json ties it to the embeddings and a different one is there all the
/// same.
enum class tied_output { embeddings, kept };

/// What is listed of a model: its metadata, tensors, formats and size.
struct inspect_options {
    std::filesystem::path model;
    bool json = false;
};
void inspect(const inspect_options& options);

/// What becomes of the layers for multi-token prediction, where a model has some.
enum class mtp_layers { kept, left_out };

/// Where a new model goes and how it gets there.
struct output_options {
    std::filesystem::path path;
    tessera::existing_file existing = tessera::existing_file::refuse;
    bool dry_run = false;                 ///< print the plan and the exact size, write nothing
    std::filesystem::path chat_template;  ///< takes the place of the model's own
    int threads = 0;
};

/// Another container or full-precision type for the same weights.
struct convert_options {
    std::filesystem::path model;
    tied_output tied = tied_output::embeddings;
    std::string type = "F16";
    mtp_layers further = mtp_layers::kept;
    output_options output;
};
void convert(const convert_options& options);

/// Tensors whose names a regular expression matches get a format of their own; the first match decides.
struct pin {
    std::string pattern;
    std::string format;
};

/// How weights are rounded, from fast to good.
enum class encoder_kind { nearest, weighted, feedback };

/// What error feedback learns from: the inputs that the model's layers get, or those that quantized layers leave.
enum class feedback_inputs { original, quantized };

/// How much columns matter.
struct importance_options {
    std::filesystem::path file;             ///< an importance matrix, GGUF or legacy; this
    std::vector<std::string> texts;         ///< or texts to calibrate on first; neither: all columns count alike
    std::optional<encoder_kind> encoder;    ///< nothing: feedback where there is a text, else weighted
    std::optional<feedback_inputs> inputs;  ///< nothing: quantized
    std::uint64_t enough_tokens = 64;       ///< experts that fewer reached are blended with the others
};

/// Formats chosen by name: pins first, then one format for all or a mix of llama.cpp.
struct named_formats {
    std::string format;  ///< this or a mix
    std::string mix;
    std::vector<pin> pins;
};

/// A text to measure on, how much of it, and how.
struct measure_options {
    std::string text;                ///< as in text_options; empty: the windows that the calibration held out
    std::size_t tokens = 0;          ///< 0: as many as take minutes on two cores
    double minutes = 0;              ///< 0: no limit; else instead of a number of tokens
    std::string measure = "direct";  ///< or "noise"
};

/// The least damage within a limit.
struct target_options {
    std::optional<std::uint64_t> bytes;  ///< of the whole file; one of these three
    std::optional<double> bits_per_weight;
    std::optional<double> kld;
    std::string menu = "portable";  ///< formats to choose from
    std::filesystem::path damage;   ///< read if it exists, else measured and written; empty: measured
    measure_options measuring;
    std::size_t refine = 0;  ///< swaps of bytes between tensors to try by measuring

    [[nodiscard]] bool is_given() const { return bytes || bits_per_weight || kld; }
};

struct quantize_options {
    std::filesystem::path model;
    mtp_layers further = mtp_layers::kept;
    tied_output tied = tied_output::embeddings;
    named_formats names;         ///< these,
    std::filesystem::path plan;  ///< a plan file,
    target_options target;       ///< or a target
    importance_options importances;
    std::filesystem::path report;  ///< how every tensor was encoded, as JSON; empty: none
    output_options output;
};
void quantize(const quantize_options& options);

/// Which format every tensor should have, without writing a model.
struct plan_options {
    std::filesystem::path model;
    mtp_layers further = mtp_layers::kept;
    tied_output tied = tied_output::embeddings;
    named_formats names;
    target_options target;
    bool curve = false;  ///< the least damage over a range of sizes instead of one plan
    importance_options importances;
    bool json = false;                   ///< print the curve as JSON
    std::filesystem::path svg;           ///< draw the curve
    std::filesystem::path output;        ///< the plan file
    std::filesystem::path tensor_types;  ///< the plan as options of llama-quantize
    tessera::existing_file existing = tessera::existing_file::refuse;
    int threads = 0;
};
void plan(const plan_options& options);

/// What if some tensors of a plan had other formats?
struct ablate_options {
    std::filesystem::path model;
    mtp_layers further = mtp_layers::kept;
    std::filesystem::path plan;
    std::vector<std::string> classes;  ///< NAME=REGEX or REGEX; none: the usual ones
    std::string format;                ///< for all of a class; or
    std::optional<double> bits;        ///< the format nearest to so many bits; or one down and one up
    std::string menu = "kquants";      ///< formats to choose from
    measure_options measuring;
    importance_options importances;
    bool json = false;
    int threads = 0;
};
void ablate(const ablate_options& options);

/// Texts, and how they are read.
struct text_options {
    std::vector<std::string> texts{};      ///< files, directories, patterns, each perhaps with "=WEIGHT" after it
    std::vector<std::string> token_ids{};  ///< the same for files of token ids
    std::string separator{};               ///< between documents of a plain text; empty: a file is a document
    bool parse_special = false;            ///< in plain texts; chat templates spell out special tokens anyway
};

/// What a model feels when it reads texts, kept as an importance matrix.
struct calibrate_options {
    std::filesystem::path model;
    text_options texts;
    std::filesystem::path output;
    std::filesystem::path report;  ///< JSON; empty: none
    std::string chunks = "packed";
    std::optional<double> held_out;  ///< share; nothing: 0.1 of packed windows, none of contiguous ones
    std::size_t window = 0;          ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t tokens = 0;          ///< to work on at most; 0: all that the texts have
    std::uint64_t seed = 1;
    std::uint64_t enough_tokens = 64;  ///< experts that fewer reached are reported as rare
    bool restart = false;              ///< do not go on from where an interrupted run was
    tessera::existing_file existing = tessera::existing_file::refuse;
    int threads = 0;
};
void calibrate(const calibrate_options& options);

/// How far candidates are from a reference on texts.
struct evaluate_options {
    std::filesystem::path reference;
    std::vector<std::filesystem::path> candidates;
    std::vector<std::string> texts;  ///< as in text_options
    std::size_t window = 0;          ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t window_limit = 0;    ///< 0: all the text has
    bool pairs = false;              ///< candidates come in twos, the second of which is compared with the first
    bool json = false;
    int threads = 0;
};
void evaluate(const evaluate_options& options);

}  // namespace cli
