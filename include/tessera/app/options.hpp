// The options of the verbs, as plain values. The program's options have the names of these fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/output_rule.hpp"

namespace tessera::app {

/// Which output matrix a model has where config.json ties it to the embeddings and a different one is there all the
/// same.
enum class tied_output { embeddings, kept };

/// What becomes of the layers for multi-token prediction, where a model has some.
enum class mtp_layers { kept, left_out };

/// A model, and which of its parts are meant.
struct model_options {
    std::filesystem::path path;  ///< a GGUF file (the first of a split one) or a Hugging Face directory
    mtp_layers further = mtp_layers::kept;
    tied_output tied = tied_output::embeddings;
};

/// What work may take.
struct memory_options {
    std::uint64_t bytes = 0;  ///< of memory; 0: four fifths of what there is
    std::filesystem::path
        scratch{};  ///< a folder for what does not fit; empty: the output's, or that of temporary files
};

/// Texts, and how they are read.
struct text_options {
    std::vector<std::string> texts{};      ///< files, directories, patterns, each perhaps with "=WEIGHT" after it
    std::vector<std::string> token_ids{};  ///< the same for files of token ids
    std::string separator{};               ///< between documents of a plain text; empty: a file is a document
    bool parse_special = false;            ///< in plain texts; chat templates spell out special tokens anyway
};

/// How texts become windows: documents in random order, cut only where they do not fit, or one after another, each cut
/// by itself as llama-imatrix does.
enum class chunking { packed, contiguous };

/// The windows to calibrate on.
struct calibration_options {
    text_options texts{};
    chunking chunks = chunking::packed;
    std::optional<double> held_out{};  ///< share; nothing: 0.1 of packed windows, none of contiguous ones
    std::size_t window = 0;            ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t tokens = 0;            ///< to work on at most; 0: as the model's size and the time say
    std::uint64_t seed = 1;
};

/// How weights are rounded, from fast to good.
enum class encoder_kind { nearest, weighted, feedback };

/// What error feedback is calibrated on: the inputs that the model's layers get, or those that quantized layers leave.
enum class feedback_inputs { original, quantized };

/// How much columns matter, and what encodes them.
struct importance_options {
    std::filesystem::path file{};             ///< an importance matrix, GGUF or legacy; this
    std::vector<std::string> texts{};         ///< or texts to calibrate on first; neither: all columns count alike
    std::size_t tokens = 0;                   ///< of them at most; 0: as the model's size and the time say
    std::optional<encoder_kind> encoder{};    ///< nothing: feedback where there is a text, else weighted
    std::optional<feedback_inputs> inputs{};  ///< nothing: quantized
    std::uint64_t enough_tokens = 64;         ///< experts that fewer reached are blended with the others
    memory_options memory{};                  ///< of calibrating, measuring and encoding
};

/// Tensors whose names `matches` accepts get a format of their own.
struct pin {
    std::string pattern;  ///< for messages
    std::string format;
    std::function<bool(std::string_view)> matches;
};

/// Where unfinished work is kept, so that the same call goes on from there.
struct work_options {
    std::filesystem::path folder{};  ///< empty: OUTPUT.work
    bool keep = false;               ///< leave it when all is done
    bool restart = false;            ///< begin anew even if an interrupted run could go on
    bool nowhere = false;            ///< nothing is kept, and what is there is left alone
};

/// Formats chosen by name: pins first (the first that matches decides), then one format for all or a mix of
/// llama.cpp.
struct named_formats {
    std::string format{};  ///< this or a mix
    std::string mix{};
    std::vector<pin> pins{};
};

/// How damage is measured: in three formats per tensor, or by random errors, which is cheaper.
enum class damage_measuring { direct, noise };

/// A text to measure on, how much of it, and how.
struct measure_options {
    std::string text{};      ///< as in text_options; empty: the windows that the calibration held out
    std::size_t tokens = 0;  ///< 0: as many as take minutes on two cores
    double minutes = 0;      ///< 0: no limit; else instead of a number of tokens
    double passes = 0;       ///< of the whole model, for damage; 0: measuring_limits::default_passes
    damage_measuring measure = damage_measuring::direct;
};

/// Where the values of formats are kept in another format's bytes, so that programs that do not know these run them:
/// nowhere, or the format that holds the values.
enum class simulated_store { none, f16, bf16, q8_0 };

/// The least damage within a limit.
struct target_options {
    std::optional<std::uint64_t> bytes{};  ///< of the whole file; one of these three
    std::optional<double> bits_per_weight{};
    std::optional<double> kld{};
    std::string menu = "portable";   ///< formats to choose from (select::parse_menu)
    std::filesystem::path damage{};  ///< read if it exists, else measured and written; empty: measured
    measure_options measuring{};
    std::size_t refine = 0;   ///< swaps of bytes between tensors to try by measuring
    bool every_size = false;  ///< not one limit: plans for sizes between the smallest and the largest

    [[nodiscard]] bool is_given() const { return bytes || bits_per_weight || kld; }
    [[nodiscard]] bool needs_damage() const { return is_given() || every_size; }
};

}  // namespace tessera::app
