#include "options.hpp"

#include <unistd.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <system_error>

#include "name_pattern.hpp"
#include "terminal.hpp"
#include "tessera/core/byte_count.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/error.hpp"
#include "tessera/format/engines.hpp"
#include "tessera/select/standard_mix.hpp"

namespace cli {

CLI::Validator is_format(const app::any_formats& formats) {
    return {[&formats](std::string& name) -> std::string {
                const tessera::type_layout* found = formats.find(name);
                if (found == nullptr) return "wanted one of " + formats.names() + ", got " + name;
                name = found->name;
                return {};
            },
            "", "format"};
}

const CLI::Validator is_file_name(
    [](std::string& name) -> std::string { return name.empty() ? "wanted the name of a file, got nothing" : ""; }, "");

const CLI::Validator is_positive(
    [](std::string& text) -> std::string {
        double number = 0.0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool is_number = problem == std::errc() && end == text.data() + text.size();
        return is_number && number > 0.0 && std::isfinite(number) ? "" : "wanted a number above 0, got " + text;
    },
    "");

const CLI::Validator is_class(
    [](std::string& text) -> std::string {
        try {
            name_pattern(text.substr(text.find('=') + 1));  // all of it where there is no '='
            return {};
        } catch (const tessera::error& e) {
            return e.what();
        }
    },
    "");

namespace {

/// llama.cpp's own spelling of its mixes.
CLI::Validator is_mix(const app::any_formats& formats) {
    return {[&formats](std::string& name) -> std::string {
                const auto found = tessera::select::find_mix(name, formats.layouts);
                if (!found) return "wanted one of " + tessera::select::mix_names(formats.layouts) + ", got " + name;
                name = found->name;
                return {};
            },
            "", "mix"};
}

// A number of bytes, as an option's value.
std::uint64_t parse_size(const std::string& option, const std::string& text) {
    try {
        return tessera::parse_byte_count(text);
    } catch (const tessera::error& e) {
        throw CLI::ValidationError(option, e.what());
    }
}

// A number of passes, or infinitely many.
double parse_passes(const std::string& text) {
    if (text == "all") return std::numeric_limits<double>::infinity();
    double passes = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), passes);
    if (problem != std::errc() || end != text.data() + text.size() || !(passes >= 3.0))
        throw CLI::ValidationError("--measure-passes", "wanted a number from 3 up, or all, got " + text);
    return passes;
}

app::pin parse_pin(const std::string& text, const app::any_formats& formats) {
    const std::size_t equals = text.rfind('=');
    if (equals == 0 || equals == std::string::npos)
        throw CLI::ValidationError("--pin", "wanted REGEX=FORMAT, got " + text);
    app::pin pin{.pattern = text.substr(0, equals), .format = text.substr(equals + 1), .matches = {}};
    if (const std::string complaint = is_format(formats)(pin.format); !complaint.empty())
        throw CLI::ValidationError("--pin " + text, complaint);
    try {
        pin.matches = [expression = name_pattern(pin.pattern)](std::string_view name) {
            return expression.is_in(name);
        };
    } catch (const tessera::error& e) {
        throw CLI::ValidationError("--pin", e.what());
    }
    return pin;
}

}  // namespace

void add_pins(CLI::App& command, std::vector<app::pin>& pins, const app::any_formats& formats) {
    command
        .add_option_function<std::vector<std::string>>(
            "--pin",
            [&pins, &formats](const std::vector<std::string>& texts) {
                for (const std::string& text : texts) pins.push_back(parse_pin(text, formats));
            },
            "Another format where the expression is found in a tensor's name;\nmay be repeated, the first that matches "
            "decides")
        ->type_name("REGEX=FORMAT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_names(CLI::Option_group& group, app::named_formats& names, const app::any_formats& formats) {
    group.add_option("-f,--format", names.format, "The format of all matrices: " + formats.names())
        ->transform(is_format(formats))
        ->type_name("FORMAT");
    group.add_option("--mix", names.mix, "A mix of llama.cpp's: " + tessera::select::mix_names(formats.layouts))
        ->transform(is_mix(formats))
        ->type_name("NAME");
}

void add_without_mtp(CLI::App& command, app::mtp_layers& further) {
    command.add_flag_callback(
        "--without-mtp", [&further] { further = app::mtp_layers::left_out; },
        "Leave out the layers for multi-token prediction (nextn), where the model has some");
}

void add_threads(CLI::App& command, int& threads) {
    command
        .add_option("-t,--threads", threads, "Threads to use; 0: as many as OMP_NUM_THREADS says or may run at a time")
        ->check(CLI::Range(0, 4096).description(""))
        ->type_name("N")
        ->capture_default_str();
}

void add_memory(CLI::App& command, app::memory_options& memory) {
    command
        .add_option_function<std::string>(
            "--memory",
            [&memory](const std::string& text) {
                memory.bytes = parse_size("--memory", text);
                if (memory.bytes == 0) throw CLI::ValidationError("--memory", "wanted a size above 0, got " + text);
            },
            "Memory to use, such as 24GiB; what does not fit of a text's activations goes to a scratch file\n"
            "(default: four fifths of what this process may have)")
        ->type_name("SIZE");
    command
        .add_option("--scratch", memory.scratch,
                    "A folder for the scratch file (default: the output's, or that of temporary files)")
        ->check(CLI::ExistingDirectory.description(""))
        ->type_name("DIR");
}

void add_time(CLI::App& command, double& seconds, const std::string& help) {
    command
        .add_option_function<std::string>(
            "--time",
            [&seconds](const std::string& text) {
                try {
                    seconds = tessera::parse_duration(text);
                } catch (const tessera::error& e) {
                    throw CLI::ValidationError("--time", e.what());
                }
            },
            help)
        ->type_name("TIME");
}

void add_tokens(CLI::App& command, std::size_t& tokens) {
    command
        .add_option("--tokens", tokens,
                    "Tokens of the texts to calibrate on at most (default: 262144, or more for wide matrices\n"
                    "and for experts that share them)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 40).description(""))
        ->type_name("N");
}

void add_progress(CLI::App& command) {
    using enum progress_style;
    static const std::map<std::string, progress_style> styles{
        {"bar", bar}, {"lines", lines}, {"json", json}, {"none", none}};
    command
        .add_option_function<std::string>(
            "--progress", [](const std::string& name) { choose_progress(styles.at(name)); },
            "How progress is shown on standard error: bar, lines, json or none\n(default: bar on a terminal, else "
            "lines)")
        ->transform(CLI::IsMember({"bar", "lines", "json", "none"}, CLI::ignore_case).description(""))
        ->type_name("STYLE");
}

void add_force(CLI::App& command, tessera::existing_file& existing) {
    command.add_flag_callback(
        "--force", [&existing] { existing = tessera::existing_file::replace; },
        "Replace output files that exist, and begin anew where unfinished work\nof another model or text is in the "
        "way; inputs are never replaced");
}

void add_work(CLI::App& command, app::work_options& work) {
    command
        .add_option("--work", work.folder,
                    "The folder for unfinished work, from which the same command goes on after whatever\nended it "
                    "(default: OUTPUT.work); removed when all is done")
        ->check(is_file_name)
        ->type_name("DIR");
    command.add_flag("--keep-work", work.keep, "Leave that folder, with importances and damages, when all is done");
    command.add_flag("--restart", work.restart, "Begin anew even if an interrupted run could go on");
}

std::filesystem::path name_here(const std::filesystem::path& model) {
    std::filesystem::path name = std::filesystem::absolute(model).lexically_normal();
    if (!name.has_filename()) name = name.parent_path();
    return ::access(".", W_OK) == 0 ? name.filename() : std::filesystem::path();
}

void add_dry_run(CLI::App& command, run_kind& kind) {
    command.add_flag_callback(
        "--dry-run", [&kind] { kind = run_kind::dry; },
        "Check everything and print the stages with time, memory and disk; do and write nothing");
}

void add_untie(CLI::App& command, app::tied_output& tied) {
    command.add_flag_callback(
        "--untie", [&tied] { tied = app::tied_output::kept; },
        "Keep an output matrix that differs from the embeddings although config.json ties the two");
}

void add_output(CLI::App& command, app::output_options& output, run_kind& kind) {
    command.add_option("-o,--output", output.path, "The file to write")
        ->required()
        ->check(is_file_name)
        ->type_name("FILE");
    add_force(command, output.existing);
    command
        .add_option("--chat-template", output.chat_template,
                    "A Jinja template to write in the place of the model's own; has to parse")
        ->check(is_file_name)
        ->type_name("FILE");
    command.add_flag_callback(
        "--dry-run", [&kind] { kind = run_kind::dry; },
        "Print the plan and the exact size, where no model has to run to find them, and what long work\n"
        "takes; do and write nothing");
    add_threads(command, output.threads);
    add_progress(command);
}

CLI::Option* add_json(CLI::App& command, printed& as, const std::string& help) {
    return command.add_flag_callback("--json", [&as] { as = printed::json; }, help);
}

void add_simulate(CLI::App& command, app::output_options& output) {
    static const std::map<std::string, app::simulated_store> stores{
        {"F16", app::simulated_store::f16}, {"BF16", app::simulated_store::bf16}, {"Q8_0", app::simulated_store::q8_0}};
    command
        .add_option_function<std::string>(
            "--simulate", [&output](const std::string& name) { output.simulate = stores.at(name); },
            "Store the values that the formats stand for in F16, BF16 or Q8_0: other programs\nthen run formats that "
            "they do not know, at the quality of these; the file is larger")
        ->transform(CLI::IsMember({"F16", "BF16", "Q8_0"}, CLI::ignore_case))
        ->type_name("TYPE");
}

void add_chunks(CLI::App& command, app::chunking& chunks) {
    command
        .add_option_function<std::string>(
            "--chunks",
            [&chunks](const std::string& kind) {
                chunks = kind == "packed" ? app::chunking::packed : app::chunking::contiguous;
            },
            "packed: documents in random order, cut only where they do not fit;\n"
            "contiguous: texts cut as they are, as llama-imatrix does")
        ->transform(CLI::IsMember({"packed", "contiguous"}, CLI::ignore_case))
        ->type_name("KIND")
        ->default_str("packed");
}

void add_importances(CLI::App& command, app::importance_options& importances) {
    add_memory(command, importances.memory);
    command
        .add_option("--imatrix", importances.file,
                    "An importance matrix, of tessera calibrate or llama-imatrix (GGUF or .dat)")
        ->check(is_file_name)
        ->type_name("FILE");
    command
        .add_option("--text", importances.texts,
                    "Texts or conversations (JSONL) to make one from at once, as tessera calibrate does;\n"
                    "=WEIGHT after one sets its share of the tokens")
        ->excludes("--imatrix")
        ->type_name("PATH[=WEIGHT]");
    add_tokens(command, importances.tokens);
    command
        .add_option("--enough-tokens", importances.enough_tokens,
                    "Importances of experts that fewer tokens reached are blended with the average of all experts")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 32).description(""))
        ->type_name("N")
        ->capture_default_str();
}

void add_encoder(CLI::App& command, std::optional<app::encoder_kind>& encoder) {
    static const std::map<std::string, app::encoder_kind> kinds{{"nearest", app::encoder_kind::nearest},
                                                                {"weighted", app::encoder_kind::weighted},
                                                                {"feedback", app::encoder_kind::feedback}};
    command
        .add_option_function<std::string>(
            "--encoder", [&encoder](const std::string& name) { encoder = kinds.at(name); },
            "feedback: error feedback (GPTQ, LDLQ), the error of a column is compensated by later ones;\n"
            "weighted: scales searched, columns weighted by importance; nearest: round to nearest (RTN)\n"
            "(default: feedback with --text or an importance matrix that holds its text, else weighted)")
        ->check(CLI::IsMember(kinds).description(""))
        ->type_name("KIND");
}

void add_feedback_inputs(CLI::App& command, std::optional<app::feedback_inputs>& inputs) {
    static const std::map<std::string, app::feedback_inputs> kinds{{"original", app::feedback_inputs::original},
                                                                   {"quantized", app::feedback_inputs::quantized}};
    command
        .add_option_function<std::string>(
            "--feedback-inputs", [&inputs](const std::string& name) { inputs = kinds.at(name); },
            "quantized: each layer is calibrated on the inputs that the quantized layers before it leave, and\n"
            "compensates their error; original: on the original's inputs, in less than half the time\n"
            "(default: quantized)")
        ->check(CLI::IsMember(kinds).description(""))
        ->type_name("KIND");
}

void add_measuring(CLI::App& command, app::measure_options& measuring) {
    command
        .add_option(
            "--measure-text", measuring.text,
            "A text or conversations (JSONL) to measure damage on, not one to evaluate on\n(default: the windows held "
            "out in the importance matrix)")
        ->check(is_file_name)
        ->type_name("FILE");
    CLI::Option* tokens =
        command
            .add_option("--measure-tokens", measuring.tokens, "Tokens to measure on (default: minutes on two cores)")
            ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 40).description(""))
            ->type_name("N");
    command.add_option("--measure-time", measuring.minutes, "As many tokens as take about so many minutes")
        ->check(is_positive)
        ->excludes(tokens)
        ->type_name("MINUTES");
}

void add_target(CLI::App& command, CLI::Option_group& group, app::target_options& target) {
    group
        .add_option_function<std::string>(
            "--target-size", [&target](const std::string& text) { target.bytes = parse_size("--target-size", text); },
            "The least divergence in a file of at most this size: 4.2GiB, 4200MB, 1632992")
        ->type_name("SIZE");
    group.add_option("--target-bpw", target.bits_per_weight, "The least divergence in so many bits per weight")
        ->check(is_positive)
        ->type_name("BITS");
    group.add_option("--target-kld", target.kld, "The least size with at most this mean KL divergence, in nats")
        ->check(is_positive)
        ->type_name("NATS");
    add_menu(command, target.menu);
    command
        .add_option("--damage", target.damage,
                    "The damage of each format in each tensor: read if the file is there, else measured and written\n"
                    "(default: measured, and kept in the folder of unfinished work until all is done)")
        ->check(is_file_name)
        ->type_name("FILE");
    command
        .add_option_function<std::string>(
            "--measure",
            [&target](const std::string& kind) {
                using enum app::damage_measuring;
                target.measuring.measure = kind == "noise" ? noise : direct;
            },
            "How damage is measured. direct: in three formats per tensor;\nnoise: by random errors, which is cheaper")
        ->transform(CLI::IsMember({"direct", "noise"}, CLI::ignore_case))
        ->type_name("KIND")
        ->default_str("direct");
    command
        .add_option_function<std::string>(
            "--measure-passes", [&target](const std::string& text) { target.measuring.passes = parse_passes(text); },
            "Passes of the whole model that a damage table may take, at least 3;\n"
            "all: every tensor at three points on every window (default: 40)")
        ->type_name("N");
    command
        .add_option("--refine", target.refine,
                    "Try so many swaps of bytes between tensors by measuring (default: none)")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 20).description(""))
        ->type_name("N");
    add_measuring(command, target.measuring);
}

void add_menu(CLI::App& command, std::string& menu) {
    command
        .add_option("--formats", menu,
                    "Formats to choose from, separated by commas: names, portable (every llama.cpp since " +
                        std::string(tessera::portable_build.month) +
                        "\nruns them on CPU, CUDA, Metal and Vulkan), newest (all), kquants, kquants-iquants,\n"
                        "arm-friendly, legacy, stored (the type a tensor has)")
        ->type_name("LIST")
        ->capture_default_str();
}

}  // namespace cli
