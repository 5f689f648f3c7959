// Options of the command line that several commands have.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "commands.hpp"

namespace cli {

/// --format and --mix: members of a group of which exactly one is to be given.
void add_names(CLI::Option_group& group, named_formats& names);
void add_pins(CLI::App& command, std::vector<pin>& pins);
void add_without_mtp(CLI::App& command, mtp_layers& further);
void add_threads(CLI::App& command, int& threads);
void add_untie(CLI::App& command, tied_output& tied);
/// --force: what becomes of outputs that exist, of every command that writes.
void add_force(CLI::App& command, tessera::existing_file& existing);
void add_output(CLI::App& command, output_options& output);
void add_importances(CLI::App& command, importance_options& importances);
void add_encoder(CLI::App& command, std::optional<encoder_kind>& encoder);
void add_feedback_inputs(CLI::App& command, std::optional<feedback_inputs>& inputs);
void add_measuring(CLI::App& command, measure_options& measuring);
void add_menu(CLI::App& command, std::string& menu);

/// --target-size and its like, members of a group, and all that is needed to reach them.
void add_target(CLI::App& command, CLI::Option_group& group, target_options& target);

/// The name of a file: any text that is not empty.
extern const CLI::Validator is_file_name;
/// A number above 0.
extern const CLI::Validator is_positive;
/// A format's name, in any case; becomes the format's own spelling.
extern const CLI::Validator is_format;
/// A regular expression for tensors' names, perhaps with "NAME=" before it.
extern const CLI::Validator is_class;

}  // namespace cli
