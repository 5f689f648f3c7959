// Options of the command line that several commands have.
#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "commands.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/options.hpp"

namespace cli {

/// --format and --mix: members of a group of which exactly one is to be given.
void add_names(CLI::Option_group& group, app::named_formats& names, const app::any_formats& formats);
void add_pins(CLI::App& command, std::vector<app::pin>& pins, const app::any_formats& formats);
void add_without_mtp(CLI::App& command, app::mtp_layers& further);
void add_threads(CLI::App& command, int& threads);
/// --memory and --scratch: of commands that run models.
void add_memory(CLI::App& command, app::memory_options& memory);
/// --time: of commands whose texts may be shortened.
void add_time(CLI::App& command, double& seconds, const std::string& help);
/// --tokens: how much of the texts to calibrate on.
void add_tokens(CLI::App& command, std::size_t& tokens);
/// --progress: how progress is shown.
void add_progress(CLI::App& command);
/// --dry-run: of commands that take long and have no plan to print.
void add_dry_run(CLI::App& command, run_kind& kind);
void add_untie(CLI::App& command, app::tied_output& tied);
/// --force: what becomes of outputs that exist, of every command that writes.
void add_force(CLI::App& command, tessera::existing_file& existing);
/// --work, --keep-work and --restart, of every command that takes long.
void add_work(CLI::App& command, app::work_options& work);
/// For work that has no output to be kept beside: something named as the model, here, if that is a folder to write in.
std::filesystem::path name_here(const std::filesystem::path& model);
void add_output(CLI::App& command, app::output_options& output, run_kind& kind);
CLI::Option* add_json(CLI::App& command, printed& as, const std::string& help);
/// --simulate: values of formats in the bytes of another.
void add_simulate(CLI::App& command, app::output_options& output);
void add_chunks(CLI::App& command, app::chunking& chunks);
void add_importances(CLI::App& command, app::importance_options& importances);
void add_encoder(CLI::App& command, std::optional<app::encoder_kind>& encoder);
void add_feedback_inputs(CLI::App& command, std::optional<app::feedback_inputs>& inputs);
void add_measuring(CLI::App& command, app::measure_options& measuring);
void add_menu(CLI::App& command, std::string& menu);

/// --target-size and its like, members of a group, and all that is needed to reach them.
void add_target(CLI::App& command, CLI::Option_group& group, app::target_options& target);

/// The name of a file: any text that is not empty.
extern const CLI::Validator is_file_name;
/// A number above 0.
extern const CLI::Validator is_positive;
/// A format's name, in any case; becomes the format's own spelling. The formats must outlive it.
CLI::Validator is_format(const app::any_formats& formats);
/// A regular expression for tensors' names, perhaps with "NAME=" before it.
extern const CLI::Validator is_class;

}  // namespace cli
