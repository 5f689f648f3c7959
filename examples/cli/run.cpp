// Reads the command line and calls the command.
#include "run.hpp"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <exception>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "commands.hpp"
#include "earlier_options.hpp"
#include "interrupts.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/version.hpp"

namespace {

using tessera::app::any_encoders;
namespace app = tessera::app;

constexpr int exit_failed = 1;  // wrong data, files that cannot be read or written
constexpr int exit_usage = 2;
constexpr std::size_t most_bytes = 8192;  // of an error's message: what it quotes may be of any size

constexpr const char* text_help =
    "Files, directories (*.txt, *.md, *.jsonl) or quoted patterns, UTF-8 or, with a byte\norder mark, UTF-16; \\r\\n "
    "counts as \\n. =WEIGHT after one sets its share of the tokens.\n"
    "Conversations, a line of JSON each ({\"messages\": [...]}), are rendered with\nthe model's chat template; without "
    "one they are plain text";

void add_inspect(CLI::App& program, cli::inspect_command& run, const any_encoders& formats) {
    CLI::App* command = program.add_subcommand("inspect", "Show a model's metadata, tensors, formats and size");
    command->add_option("MODEL", run.model, "A GGUF file or a Hugging Face model directory")->required()->type_name("");
    cli::add_json(*command, run.as, "Print JSON, with every value in full");
    command->footer(
        "Examples:\n  tessera inspect model-Q4_K.gguf\n  tessera inspect models/fable-3m --json | jq .tensors[].name");
    command->callback([&] { cli::inspect(run, formats); });
}

void add_convert(CLI::App& program, cli::convert_command& run, const any_encoders& formats) {
    app::convert_options& options = run.options;
    CLI::App* command = program.add_subcommand("convert", "Turn a Hugging Face model into a full-precision GGUF");
    command
        ->add_option("MODEL", options.model.path,
                     "A model directory (config.json, *.safetensors, tokenizer) or a GGUF file")
        ->required()
        ->type_name("");
    command->add_option("--type", options.type, "F32, F16 or BF16; vectors, norms and routers are always F32")
        ->transform(CLI::IsMember({"F32", "F16", "BF16"}, CLI::ignore_case))
        ->type_name("TYPE")
        ->capture_default_str();
    cli::add_without_mtp(*command, options.model.further);
    cli::add_untie(*command, options.model.tied);
    cli::add_output(*command, options.output, run.kind);
    command->footer(
        "Examples:\n  tessera convert models/fable-3m -o fable-3m-F16.gguf\n"
        "  tessera convert models/fable-3m -o fable-3m-BF16.gguf --type BF16");
    command->callback([&] { cli::convert(run, formats); });
}

void add_quantize(CLI::App& program, cli::quantize_command& run, const any_encoders& formats) {
    app::quantize_options& options = run.options;
    CLI::App* command = program.add_subcommand("quantize", "Write a model in a smaller format");
    command->add_option("MODEL", options.model.path, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* chosen = command->add_option_group("Formats", "Exactly one of these");
    cli::add_target(*command, *chosen, options.target);
    cli::add_names(*chosen, options.names, formats);
    CLI::Option* plan = chosen->add_option("--plan", options.plan, "A plan that tessera plan made")
                            ->check(cli::is_file_name)
                            ->type_name("FILE");
    chosen->require_option(1);
    cli::add_pins(*command, options.names.pins, formats);
    command->get_option("--pin")->excludes(plan);
    cli::add_without_mtp(*command, options.model.further);
    cli::add_time(*command, options.seconds,
                  "Time that all may take, such as 8h or 1h30m; beyond the least that is possible it is divided\n"
                  "between calibrating and measuring damage, which get as many tokens as it allows");
    cli::add_importances(*command, options.importances);
    cli::add_encoder(*command, options.importances.encoder);
    cli::add_feedback_inputs(*command, options.importances.inputs);
    command->add_option("--report", options.report, "Write how every tensor was encoded, as JSON")
        ->check(cli::is_file_name)
        ->type_name("FILE");
    cli::add_simulate(*command, options.output);
    cli::add_work(*command, options.work);
    cli::add_untie(*command, options.model.tied);
    cli::add_output(*command, options.output, run.kind);
    cli::add_json(*command, run.as, "Print what a dry run tells of the work as JSON")
        ->needs(command->get_option("--dry-run"));
    command->footer(
        "Vectors, norms and routers stay F32. A tensor whose rows the format cannot take gets the smallest\n"
        "larger format that can, and is named.\n\n"
        "Examples:\n  tessera quantize model-BF16.gguf --target-size 4.2GiB --imatrix imatrix.gguf -o "
        "model-4.2GiB.gguf\n"
        "  tessera quantize fable-3m-F16.gguf -f Q4_K -o fable-3m-Q4_K.gguf\n"
        "  tessera quantize models/fable-3m -f Q4_K -o out.gguf --pin 'ffn_down=Q6_K' --pin '^token_embd=Q8_0'\n"
        "  tessera quantize models/fable-3m -f IQ3_XXS -o out.gguf --imatrix imatrix.gguf\n"
        "  tessera quantize models/fable-3m --mix Q4_K_M -o out.gguf --dry-run\n"
        "  tessera quantize models/fable-3m --plan plan.json -o out.gguf");
    command->callback([&] { cli::quantize(run, formats); });
}

void add_plan(CLI::App& program, cli::plan_command& run, const any_encoders& formats) {
    app::plan_options& options = run.options;
    CLI::App* command = program.add_subcommand("plan", "Choose every tensor's format, for a size or a divergence");
    command->add_option("MODEL", options.model.path, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* target = command->add_option_group("Target", "Exactly one of these");
    cli::add_target(*command, *target, options.target);
    cli::add_names(*target, options.names, formats);
    CLI::Option* curve = target->add_flag("--curve", run.is_curve, "The least divergence for every size");
    target->require_option(1);
    cli::add_pins(*command, options.names.pins, formats);
    cli::add_without_mtp(*command, options.model.further);
    cli::add_untie(*command, options.model.tied);
    cli::add_time(*command, options.seconds,
                  "Time that all may take, such as 8h or 1h30m; beyond the least that is possible it is divided\n"
                  "between calibrating and measuring damage, which get as many tokens as it allows");
    cli::add_importances(*command, options.importances);
    cli::add_encoder(*command, options.importances.encoder);
    command->add_option("-o,--output", options.output, "Write the plan, for tessera quantize --plan")
        ->excludes(curve)
        ->check(cli::is_file_name)
        ->type_name("FILE");
    command
        ->add_option("--tensor-types", options.tensor_types,
                     "Write the plan as --tensor-type options of llama-quantize")
        ->excludes(curve)
        ->check(cli::is_file_name)
        ->type_name("FILE");
    command->add_option("--svg", options.drawing, "Draw the curve")
        ->needs(curve)
        ->check(cli::is_file_name)
        ->type_name("FILE");
    cli::add_json(*command, run.as, "Print the curve, or what a dry run tells, as JSON");
    cli::add_dry_run(*command, run.kind);
    cli::add_work(*command, options.work);
    cli::add_force(*command, options.existing);
    cli::add_threads(*command, options.threads);
    cli::add_progress(*command);
    command->footer(
        "A plan is a file to read and edit: the name and format of every tensor count.\n\n"
        "Examples:\n  tessera plan model-BF16.gguf --imatrix imatrix.gguf --damage damage.json --target-size 4.2GiB -o "
        "plan.json\n"
        "  tessera plan model-BF16.gguf --damage damage.json --target-bpw 4.5 --formats arm-friendly -o plan.json\n"
        "  tessera plan model-BF16.gguf --damage damage.json --curve --svg curve.svg\n"
        "  tessera plan models/fable-3m --mix Q4_K_M --tensor-types options.txt");
    command->callback([&] {
        if (run.as == cli::printed::json && !run.is_curve && run.kind == cli::run_kind::real)
            throw CLI::ValidationError("--json", "wanted --curve or --dry-run, got neither");
        if (run.is_curve && options.target.refine > 0)
            throw CLI::ValidationError("--refine", "wanted one target, got --curve");
        cli::plan(run, formats);
    });
}

void add_ablate(CLI::App& program, cli::ablate_command& run, const any_encoders& formats) {
    app::ablate_options& options = run.options;
    CLI::App* command =
        program.add_subcommand("ablate", "Measure what other formats for some tensors of a plan would do");
    command->add_option("MODEL", options.model.path, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    command->add_option("--plan", options.plan, "A plan that tessera plan made")
        ->required()
        ->check(cli::is_file_name)
        ->type_name("FILE");
    command
        ->add_option("--tensors", run.classes,
                     "Tensors to change together; may be repeated\n(default: attention keys, values ..., ffn_down ..., "
                     "first and last layer)")
        ->type_name("[NAME=]REGEX")
        ->check(cli::is_class)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    CLI::Option* format = command->add_option("-f,--format", run.format, "Their format (default: one down, one up)")
                              ->transform(cli::is_format(formats))
                              ->type_name("FORMAT");
    command->add_option("--bits", run.bits, "The format nearest to so many bits per weight")
        ->check(cli::is_positive)
        ->excludes(format)
        ->type_name("BITS");
    cli::add_without_mtp(*command, options.model.further);
    cli::add_menu(*command, run.menu);
    cli::add_measuring(*command, options.measuring);
    cli::add_importances(*command, options.importances);
    cli::add_json(*command, run.as, "Print JSON");
    cli::add_dry_run(*command, run.kind);
    cli::add_work(*command, options.work);
    cli::add_threads(*command, options.threads);
    cli::add_progress(*command);
    command->footer(
        "Examples:\n  tessera ablate model-BF16.gguf --plan plan.json --imatrix imatrix.gguf\n"
        "  tessera ablate model-BF16.gguf --plan plan.json --imatrix imatrix.gguf --tensors values=attn_v --bits 3");
    command->callback([&] { cli::ablate(run, formats); });
}

void add_calibrate(CLI::App& program, cli::calibrate_command& run, const any_encoders& formats) {
    app::calibrate_options& options = run.options;
    CLI::App* command =
        program.add_subcommand("calibrate", "Measure on texts the importance of each column of a model's matrices");
    command->add_option("MODEL", options.model, "A full-precision GGUF file or Hugging Face model directory")
        ->required()
        ->type_name("");
    CLI::Option_group* sources = command->add_option_group("Texts", "At least one of these");
    sources->add_option("--text", options.windows.texts.texts, text_help)->type_name("PATH[=WEIGHT]");
    sources
        ->add_option("--token-ids", options.windows.texts.token_ids,
                     "The same with token ids in place of text, one document per line")
        ->type_name("PATH[=WEIGHT]");
    sources->require_option(1, 2);
    command
        ->add_option("-o,--output", options.output,
                     "The importance matrix to write: GGUF, or the legacy format if it ends in .dat")
        ->required()
        ->check(cli::is_file_name)
        ->type_name("FILE");
    command->add_option("--report", options.report, "Write the findings as JSON, too")
        ->check(cli::is_file_name)
        ->type_name("FILE");
    command
        ->add_option("--window", options.windows.window,
                     "Tokens in a window (default: 512, or the trained context if shorter)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 24).description(""))
        ->type_name("N");
    cli::add_tokens(*command, options.windows.tokens);
    cli::add_time(*command, options.seconds, "Time it may take, such as 8h or 1h30m: as much of the texts as fits");
    cli::add_chunks(*command, options.windows.chunks);
    command
        ->add_option("--separator", options.windows.texts.separator,
                     "What separates documents in a file, such as '<|endoftext|>';\n"
                     "\\n is a line's end (default: a file is one document)")
        ->type_name("TEXT");
    command
        ->add_option("--held-out", options.windows.held_out,
                     "Share of the windows held out: later decisions are judged by them, and the GGUF file\nkeeps them "
                     "(default: 0.1, contiguous 0)")
        ->check(CLI::Range(0.0, 0.9).description(""))
        ->type_name("SHARE");
    command->add_option("--seed", options.windows.seed, "Decides the order of documents and the windows held out")
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--parse-special", options.windows.texts.parse_special,
                      "Recognise special tokens that are spelled out in the texts");
    command
        ->add_option("--enough-tokens", options.enough_tokens, "Experts that fewer tokens reached are reported as rare")
        ->type_name("N")
        ->capture_default_str();
    cli::add_dry_run(*command, run.kind);
    cli::add_json(*command, run.as, "Print what a dry run tells as JSON")->needs(command->get_option("--dry-run"));
    cli::add_work(*command, options.work);
    cli::add_force(*command, options.existing);
    cli::add_threads(*command, options.threads);
    cli::add_memory(*command, options.memory);
    cli::add_progress(*command);
    command->footer(
        "Examples:\n  tessera calibrate models/fable-3m --text stories.txt -o imatrix.gguf\n"
        "  tessera calibrate model-BF16.gguf --text wiki=2 'code/*.txt' --tokens 500000 -o imatrix.gguf\n"
        "  tessera calibrate model-BF16.gguf --text chats.jsonl=3 wiki=1 -o imatrix.gguf\n"
        "  tessera calibrate model-F16.gguf --text calibration.txt --chunks contiguous -o imatrix.dat");
    command->callback([&] { cli::calibrate(run, formats); });
}

void add_evaluate(CLI::App& program, cli::evaluate_command& run, const any_encoders& formats) {
    app::evaluate_options& options = run.options;
    CLI::App* command = program.add_subcommand("evaluate", "Measure how far models are from a reference, on a text");
    command->add_option("REFERENCE", options.reference, "The original: a GGUF file or a model directory")
        ->required()
        ->type_name("");
    command->add_option("CANDIDATE", options.candidates, "The models to compare with it; several make a table")
        ->required()
        ->type_name("");
    command->add_option("--text", options.texts, text_help)->required()->type_name("PATH[=WEIGHT]");
    command
        ->add_option("--window", options.window, "Tokens in a window (default: 512, or the trained context if shorter)")
        ->check(CLI::Range(std::size_t{3}, std::size_t{1} << 24).description(""))
        ->type_name("N");
    command->add_option("--windows", options.window_limit, "Windows to use (default: all that the text has)")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 32).description(""))
        ->type_name("N");
    cli::add_time(*command, options.seconds, "Time it may take, such as 10m: as much of the text as fits");
    command->add_flag_callback(
        "--pairs", [&options] { options.compare = app::comparing::pairs; },
        "Candidates come in pairs, of the same size for example: how much the second's divergence is of the first's");
    cli::add_json(*command, run.as, "Print JSON");
    cli::add_dry_run(*command, run.kind);
    cli::add_work(*command, options.work);
    cli::add_threads(*command, options.threads);
    cli::add_memory(*command, options.memory);
    cli::add_progress(*command);
    command->footer(
        "The second half of every window is scored. A single plain text is cut as llama-perplexity does;\n"
        "several texts or conversations are packed into windows.\n\n"
        "Examples:\n  tessera evaluate fable-3m-F16.gguf fable-3m-Q4_K.gguf --text heldout.txt\n"
        "  tessera evaluate models/fable-3m *-Q*.gguf --text heldout.txt --windows 12\n"
        "  tessera evaluate models/fable-3m Q4_K_M.gguf ours-4.9.gguf --pairs --text heldout.txt\n"
        "  tessera evaluate model-BF16.gguf model-Q4_K.gguf --text chats.jsonl=3 wiki.txt=1");
    command->callback([&] {
        if (options.compare == app::comparing::pairs && options.candidates.size() % 2 != 0)
            throw CLI::ValidationError(
                "--pairs", "wanted an even number of candidates, got " + std::to_string(options.candidates.size()));
        cli::evaluate(run, formats);
    });
}

}  // namespace

namespace cli {

int run(int argc, char** argv, const any_encoders& formats) {
    const guarded_output guarded_out(std::cout), guarded_errors(std::cerr);
    CLI::App program("Turns full-precision language models into smaller GGUF files and measures their divergence.",
                     "tessera");
    program.set_version_flag("--version", std::string("tessera ") + tessera::version);
    program.require_subcommand(1);
    program.failure_message([](const CLI::App* self, const CLI::Error& error) {
        const auto chosen = self->get_subcommands();
        const std::string command = chosen.empty() ? "tessera" : "tessera " + chosen.front()->get_name();
        return "tessera: " + tessera::printable(error.what(), most_bytes) + "\nTry: " + command + " --help\n";
    });
    program.footer(
        "Exit status: 0 done, 1 failed (data or files), 2 wrong command line, 128 + N stopped by signal N.\ntessera "
        "COMMAND --help shows examples.");

    inspect_command inspect;
    convert_command convert;
    plan_command plan;
    ablate_command ablate;
    quantize_command quantize;
    calibrate_command calibrate;
    evaluate_command evaluate;
    add_inspect(program, inspect, formats);
    add_convert(program, convert, formats);
    add_plan(program, plan, formats);
    add_ablate(program, ablate, formats);
    add_quantize(program, quantize, formats);
    add_calibrate(program, calibrate, formats);
    add_evaluate(program, evaluate, formats);

    catch_interrupts();
    try {
        program.parse(arguments_of(std::span<char* const>(argv, static_cast<std::size_t>(argc))));
        std::cout.flush();
        if (!std::cout) throw std::runtime_error("cannot write to standard output");
        return 0;
    } catch (const CLI::ParseError& e) {
        return program.exit(e) == 0 ? 0 : exit_usage;
    } catch (const tessera::stopped&) {
        std::cerr << "tessera: interrupted\n";
        return interrupted_status();
    } catch (const std::bad_alloc&) {
        std::cerr << "tessera: out of memory\n";
        return exit_failed;
    } catch (const tessera::name_taken& e) {
        std::cerr << "tessera: " << tessera::printable(e.what(), most_bytes) << "; --force replaces it\n";
        return exit_failed;
    } catch (const std::exception& e) {
        std::cerr << "tessera: " << tessera::printable(e.what(), most_bytes) << '\n';
        return exit_failed;
    }
}

}  // namespace cli
