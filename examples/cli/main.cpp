// The program `tessera`: reads the command line and calls the command.
#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <exception>
#include <filesystem>
#include <iostream>
#include <regex>
#include <string>
#include <vector>

#include "commands.hpp"
#include "terminal.hpp"
#include "tessera/core/byte_count.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/recipe_table.hpp"
#include "tessera/version.hpp"

namespace {

constexpr int exit_failed = 1;  // wrong data, files that cannot be read or written
constexpr int exit_usage = 2;

using tessera::builtin_formats;

/// The formats' own spelling, whatever the case on the command line.
const CLI::Validator is_format(
    [](std::string& name) -> std::string {
        const tessera::type_layout* found = builtin_formats::find(name);
        if (found == nullptr) return "wanted one of " + builtin_formats::names() + ", got " + name;
        name = found->name;
        return {};
    },
    "", "format");

/// llama.cpp's own spelling of its mixes.
const CLI::Validator is_recipe(
    [](std::string& name) -> std::string {
        const tessera::select::mix* found = tessera::select::find_mix(name);
        if (found == nullptr) return "wanted one of " + tessera::select::mix_names() + ", got " + name;
        name = found->name;
        return {};
    },
    "", "recipe");

const CLI::Validator is_positive(
    [](std::string& text) -> std::string {
        double number = 0.0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool is_number = problem == std::errc() && end == text.data() + text.size();
        return is_number && number > 0.0 && std::isfinite(number) ? "" : "wanted a number above 0, got " + text;
    },
    "");

cli::pin parse_pin(const std::string& text) {
    const std::size_t equals = text.rfind('=');
    if (equals == 0 || equals == std::string::npos) throw CLI::ValidationError("--pin", "wanted REGEX=FORMAT, got " + text);
    cli::pin pin{.pattern = text.substr(0, equals), .format = text.substr(equals + 1)};
    if (const std::string complaint = is_format(pin.format); !complaint.empty())
        throw CLI::ValidationError("--pin " + text, complaint);
    try {
        std::regex(pin.pattern);
    } catch (const std::regex_error& e) {
        throw CLI::ValidationError("--pin " + text, std::string("not a regular expression: ") + e.what());
    }
    return pin;
}

void add_pins(CLI::App& command, std::vector<cli::pin>& pins) {
    command
        .add_option_function<std::vector<std::string>>(
            "--pin",
            [&pins](const std::vector<std::string>& texts) {
                for (const std::string& text : texts) pins.push_back(parse_pin(text));
            },
            "Another format where the expression is found in a tensor's name;\nmay be repeated, the first that matches decides")
        ->type_name("REGEX=FORMAT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

/// One format for all, or a recipe: members of a group of which exactly one is to be given.
void add_names(CLI::Option_group& group, cli::named_formats& names) {
    group.add_option("-f,--format", names.format, "The format of all matrices: " + builtin_formats::names())
        ->transform(is_format)
        ->type_name("FORMAT");
    group.add_option("--recipe", names.recipe, "A mix of llama.cpp's: " + tessera::select::mix_names())
        ->transform(is_recipe)
        ->type_name("NAME");
}

void add_threads(CLI::App& command, int& threads) {
    command.add_option("-t,--threads", threads, "Threads to use; 0: all of the machine's")
        ->check(CLI::Range(0, 4096).description(""))
        ->type_name("N")
        ->capture_default_str();
}

void add_output(CLI::App& command, cli::output_options& output) {
    command.add_option("-o,--output", output.path, "The file to write")->required()->type_name("FILE");
    command.add_flag("--force", output.force, "Replace the output file if it exists");
    command.add_flag("--dry-run", output.dry_run, "Print the plan and the exact size; write nothing");
    add_threads(command, output.threads);
}

void add_inspect(CLI::App& app, cli::inspect_options& options) {
    CLI::App* command = app.add_subcommand("inspect", "Show a model's metadata, tensors, formats and size");
    command->add_option("MODEL", options.model, "A GGUF file or a Hugging Face model directory")->required()->type_name("");
    command->add_flag("--json", options.json, "Print JSON, with every value in full");
    command->footer("Examples:\n  tessera inspect model-Q4_K.gguf\n  tessera inspect models/fable-3m --json | jq .tensors[].name");
    command->callback([&options] { cli::inspect(options); });
}

void add_convert(CLI::App& app, cli::convert_options& options) {
    CLI::App* command = app.add_subcommand("convert", "Turn a Hugging Face model into a full-precision GGUF");
    command->add_option("MODEL", options.model, "A model directory (config.json, *.safetensors, tokenizer) or a GGUF file")
        ->required()
        ->type_name("");
    command->add_option("--type", options.type, "F32, F16 or BF16; vectors, norms and routers are always F32")
        ->transform(CLI::IsMember({"F32", "F16", "BF16"}, CLI::ignore_case))
        ->type_name("TYPE")
        ->capture_default_str();
    add_output(*command, options.output);
    command->footer("Examples:\n  tessera convert models/fable-3m -o fable-3m-F16.gguf\n"
                    "  tessera convert models/fable-3m -o fable-3m-BF16.gguf --type BF16");
    command->callback([&options] { cli::convert(options); });
}

void add_importances(CLI::App& command, cli::importance_options& importances) {
    command
        .add_option("--imatrix", importances.file, "An importance matrix, of tessera calibrate or llama-imatrix (GGUF or .dat)")
        ->type_name("FILE");
    command
        .add_option("--enough-tokens", importances.enough_tokens,
                    "Experts that fewer tokens reached are blended with the average of the others")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 32).description(""))
        ->type_name("N")
        ->capture_default_str();
}

void add_quantize(CLI::App& app, cli::quantize_options& options) {
    CLI::App* command = app.add_subcommand("quantize", "Write a model in a smaller format");
    command->add_option("MODEL", options.model, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* formats = command->add_option_group("Formats", "Exactly one of these");
    add_names(*formats, options.names);
    CLI::Option* plan = formats->add_option("--plan", options.plan, "A plan that tessera plan made")->type_name("FILE");
    formats->require_option(1);
    add_pins(*command, options.names.pins);
    command->get_option("--pin")->excludes(plan);
    add_importances(*command, options.importances);
    add_output(*command, options.output);
    command->footer("Vectors, norms and routers stay F32. A tensor whose rows the format cannot take gets the smallest\n"
                    "larger format that can, and is named.\n\n"
                    "Examples:\n  tessera quantize fable-3m-F16.gguf -f Q4_K -o fable-3m-Q4_K.gguf\n"
                    "  tessera quantize models/fable-3m -f Q4_K -o out.gguf --pin 'ffn_down=Q6_K' --pin '^token_embd=Q8_0'\n"
                    "  tessera quantize models/fable-3m -f IQ3_XXS -o out.gguf --imatrix imatrix.gguf\n"
                    "  tessera quantize models/fable-3m --recipe Q4_K_M -o out.gguf --dry-run\n"
                    "  tessera quantize models/fable-3m --plan plan.json -o out.gguf");
    command->callback([&options] { cli::quantize(options); });
}

void add_plan(CLI::App& app, cli::plan_options& options) {
    CLI::App* command = app.add_subcommand("plan", "Choose every tensor's format, for a size or a divergence");
    command->add_option("MODEL", options.model, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* target = command->add_option_group("Target", "Exactly one of these");
    target
        ->add_option_function<std::string>(
            "--target-size",
            [&options](const std::string& text) {
                try {
                    options.target_bytes = tessera::parse_byte_count(text);
                } catch (const tessera::error& e) {
                    throw CLI::ValidationError("--target-size", e.what());
                }
            },
            "The least divergence in a file of at most this size: 4.2GiB, 4200MB, 1632992")
        ->type_name("SIZE");
    target->add_option("--target-bpw", options.target_bits_per_weight, "The least divergence in so many bits per weight")
        ->check(is_positive)
        ->type_name("BITS");
    target->add_option("--target-kld", options.target_kld, "The least size with at most this mean KL divergence, in nats")
        ->check(is_positive)
        ->type_name("NATS");
    add_names(*target, options.names);
    CLI::Option* curve = target->add_flag("--curve", options.curve, "The least divergence for every size");
    target->require_option(1);
    command->add_option("--damage", options.damage, "What each format costs each tensor, as it was measured")->type_name("FILE");
    add_pins(*command, options.names.pins);
    command
        ->add_option("--formats", options.menu,
                     "What targets choose from: formats, all, kquants, kquants-iquants, arm-friendly,\n"
                     "legacy, stored (the type a tensor has), separated by commas")
        ->type_name("LIST")
        ->capture_default_str();
    command->add_option("-o,--output", options.output, "Write the plan, for tessera quantize --plan")->excludes(curve)->type_name("FILE");
    command->add_option("--tensor-types", options.tensor_types, "Write the plan as --tensor-type options of llama-quantize")
        ->excludes(curve)
        ->type_name("FILE");
    command->add_option("--svg", options.svg, "Draw the curve")->needs(curve)->type_name("FILE");
    command->add_flag("--json", options.json, "Print the curve as JSON")->needs(curve);
    command->add_flag("--force", options.force, "Replace files that exist");
    command->footer("A plan is a file to read and edit: the name and format of every tensor count.\n\n"
                    "Examples:\n  tessera plan model-BF16.gguf --damage damage.json --target-size 4.2GiB -o plan.json\n"
                    "  tessera plan model-BF16.gguf --damage damage.json --target-bpw 4.5 --formats arm-friendly -o plan.json\n"
                    "  tessera plan model-BF16.gguf --damage damage.json --curve --svg curve.svg\n"
                    "  tessera plan models/fable-3m --recipe Q4_K_M --tensor-types options.txt");
    command->callback([&options] { cli::plan(options); });
}

void add_evaluate(CLI::App& app, cli::evaluate_options& options) {
    CLI::App* command = app.add_subcommand("evaluate", "Measure how far models are from a reference, on a text");
    command->add_option("REFERENCE", options.reference, "The original: a GGUF file or a model directory")->required()->type_name("");
    command->add_option("CANDIDATE", options.candidates, "The models to compare with it; several make a table")
        ->required()
        ->type_name("");
    command->add_option("--text", options.text, "The text, UTF-8")->required()->type_name("FILE");
    command->add_option("--window", options.window, "Tokens in a window (default: 512, or the trained context if shorter)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 24).description(""))
        ->type_name("N");
    command->add_option("--windows", options.window_limit, "Windows to use (default: all that the text has)")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 32).description(""))
        ->type_name("N");
    command->add_flag("--json", options.json, "Print JSON");
    add_threads(*command, options.threads);
    command->footer("The second half of every window is scored, as llama-perplexity does.\n\n"
                    "Examples:\n  tessera evaluate fable-3m-F16.gguf fable-3m-Q4_K.gguf --text heldout.txt\n"
                    "  tessera evaluate models/fable-3m *-Q*.gguf --text heldout.txt --windows 12");
    command->callback([&options] { cli::evaluate(options); });
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Turns full-precision language models into smaller GGUF files and measures what was lost.", "tessera");
    app.set_version_flag("--version", std::string("tessera ") + tessera::version);
    app.require_subcommand(1);
    app.failure_message([](const CLI::App* self, const CLI::Error& error) {
        const auto chosen = self->get_subcommands();
        const std::string command = chosen.empty() ? "tessera" : "tessera " + chosen.front()->get_name();
        return std::string("tessera: ") + error.what() + "\nTry: " + command + " --help\n";
    });
    app.footer("Exit status: 0 done, 1 failed (data or files), 2 wrong command line. tessera COMMAND --help shows examples.");

    cli::inspect_options inspect;
    cli::convert_options convert;
    cli::plan_options plan;
    cli::quantize_options quantize;
    cli::evaluate_options evaluate;
    add_inspect(app, inspect);
    add_convert(app, convert);
    add_plan(app, plan);
    add_quantize(app, quantize);
    add_evaluate(app, evaluate);

    cli::catch_interrupts();
    try {
        app.parse(argc, argv);
        std::cout.flush();
        if (!std::cout) throw std::runtime_error("cannot write to standard output");
        return 0;
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : exit_usage;
    } catch (const std::bad_alloc&) {
        std::cerr << "tessera: out of memory\n";
        return exit_failed;
    } catch (const std::exception& e) {
        std::cerr << "tessera: " << e.what() << '\n';
        return exit_failed;
    }
}
