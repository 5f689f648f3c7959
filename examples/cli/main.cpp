// The program `tessera`: reads the command line and calls the command.
#include <CLI/CLI.hpp>

#include <exception>
#include <filesystem>
#include <iostream>
#include <regex>
#include <string>

#include "commands.hpp"
#include "terminal.hpp"
#include "tessera/format/builtin.hpp"
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
    "FORMAT", "format");

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

void add_quantize(CLI::App& app, cli::quantize_options& options) {
    CLI::App* command = app.add_subcommand("quantize", "Write a model in a smaller format");
    command->add_option("MODEL", options.model, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    command->add_option("-f,--format", options.format, "The format of all matrices: " + builtin_formats::names())
        ->required()
        ->transform(is_format)
        ->type_name("FORMAT");
    command
        ->add_option_function<std::vector<std::string>>(
            "--pin",
            [&options](const std::vector<std::string>& texts) {
                for (const std::string& text : texts) options.pins.push_back(parse_pin(text));
            },
            "Another format where the expression is found in a tensor's name;\nmay be repeated, the first that matches decides")
        ->type_name("REGEX=FORMAT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--imatrix", options.importances.file,
                        "An importance matrix, of tessera calibrate or llama-imatrix (GGUF or .dat)")
        ->type_name("FILE");
    command
        ->add_option("--enough-tokens", options.importances.enough_tokens,
                     "Experts that fewer tokens reached are blended with the average of the others")
        ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 32).description(""))
        ->type_name("N")
        ->capture_default_str();
    add_output(*command, options.output);
    command->footer("Vectors, norms and routers stay F32. A tensor whose rows the format cannot take gets the smallest\n"
                    "larger format that can, and is named.\n\n"
                    "Examples:\n  tessera quantize fable-3m-F16.gguf -f Q4_K -o fable-3m-Q4_K.gguf\n"
                    "  tessera quantize models/fable-3m -f Q4_K -o out.gguf --pin 'ffn_down=Q6_K' --pin '^token_embd=Q8_0'\n"
                    "  tessera quantize models/fable-3m -f IQ3_XXS -o out.gguf --imatrix imatrix.gguf\n"
                    "  tessera quantize models/fable-3m -f Q4_0 -o out.gguf --dry-run");
    command->callback([&options] { cli::quantize(options); });
}

void add_calibrate(CLI::App& app, cli::calibrate_options& options) {
    CLI::App* command = app.add_subcommand("calibrate", "Measure on texts how much each column of a model's matrices matters");
    command->add_option("MODEL", options.model, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* sources = command->add_option_group("Texts", "At least one of these");
    sources->add_option("--text", options.texts, "Files, directories (*.txt, *.md) or quoted patterns, UTF-8;\n=WEIGHT behind one sets its share of the tokens")
        ->type_name("PATH[=WEIGHT]");
    sources->add_option("--token-ids", options.token_ids, "The same with token ids in place of text, one document per line")
        ->type_name("PATH[=WEIGHT]");
    sources->require_option(1, 2);
    command->add_option("-o,--output", options.output, "The importance matrix to write: GGUF, or the older format if it ends in .dat")
        ->required()
        ->type_name("FILE");
    command->add_option("--report", options.report, "Write what was found as JSON, too")->type_name("FILE");
    command->add_option("--window", options.window, "Tokens in a window (default: 512, or the trained context if shorter)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 24).description(""))
        ->type_name("N");
    command->add_option("--tokens", options.tokens, "Tokens to work on at most (default: all that the texts have)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 40).description(""))
        ->type_name("N");
    command->add_option("--chunks", options.chunks, "packed: documents in random order, cut only where they do not fit;\n"
                                                    "contiguous: texts cut as they are, as llama-imatrix does")
        ->transform(CLI::IsMember({"packed", "contiguous"}, CLI::ignore_case))
        ->type_name("KIND")
        ->capture_default_str();
    command->add_option("--separator", options.separator, "What separates documents in a file, such as '<|endoftext|>';\n"
                                                          "\\n is a line's end (default: a file is one document)")
        ->type_name("TEXT");
    command->add_option("--held-back", options.held_back, "Share of the windows left for later decisions and kept in the GGUF file\n(default: 0.1, contiguous 0)")
        ->check(CLI::Range(0.0, 0.9).description(""))
        ->type_name("SHARE");
    command->add_option("--seed", options.seed, "Decides the order of documents and the windows held back")
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--parse-special", options.parse_special, "Recognise special tokens that are spelled out in the texts");
    command->add_option("--enough-tokens", options.enough_tokens, "Experts that fewer tokens reached are reported as rare")
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--restart", options.restart, "Begin anew even if an interrupted run could go on");
    command->add_flag("--force", options.force, "Replace the output file if it exists");
    add_threads(*command, options.threads);
    command->footer("After every layer the work is saved in OUTPUT.checkpoint; the same command goes on from there.\n\n"
                    "Examples:\n  tessera calibrate models/fable-3m --text stories.txt -o imatrix.gguf\n"
                    "  tessera calibrate model-BF16.gguf --text wiki=2 'code/*.txt' --tokens 500000 -o imatrix.gguf\n"
                    "  tessera calibrate model-F16.gguf --text calibration.txt --chunks contiguous -o imatrix.dat");
    command->callback([&options] { cli::calibrate(options); });
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
    cli::quantize_options quantize;
    cli::calibrate_options calibrate;
    cli::evaluate_options evaluate;
    add_inspect(app, inspect);
    add_convert(app, convert);
    add_quantize(app, quantize);
    add_calibrate(app, calibrate);
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
