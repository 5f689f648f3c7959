// JSON on standard output.
#pragma once

#include <iostream>
#include <streambuf>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tessera/json/text.hpp"

namespace cli {

/// All of a value, in ASCII: valid JSON that does nothing to a terminal, whatever the strings hold. Bytes that are no
/// UTF-8 become U+FFFD.
inline std::string json_text(const nlohmann::ordered_json& value) {
    return tessera::json_text(value, tessera::json_characters::ascii, 2) + '\n';
}

/// The same of a command's result: its fields, after what they are and the version of their names and meanings.
inline std::string json_text(std::string_view kind, const nlohmann::ordered_json& fields) {
    nlohmann::ordered_json all{{"kind", kind}, {"version", 1}};
    all.update(fields);
    return json_text(all);
}

/// While it lives, what a command says goes to standard error, and standard output is left to its JSON.
class said_on_stderr {
public:
    said_on_stderr() : output_(std::cout.rdbuf(std::cerr.rdbuf())) {}
    said_on_stderr(const said_on_stderr&) = delete;
    said_on_stderr& operator=(const said_on_stderr&) = delete;
    ~said_on_stderr() { std::cout.rdbuf(output_); }

private:
    std::streambuf* output_;
};

}  // namespace cli
