// What encoding one text keeps from piece to piece.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/text/merging.hpp"
#include "tessera/text/token.hpp"

namespace tessera::text {

/// Memory for merging, and the tokens of every piece met so far: in real text most pieces come again. For one thread.
class workspace {
public:
    /// Appends the tokens of a piece to `out`; make(piece, merger, tokens) finds them the first time.
    template <class Make>
    void append_tokens(std::string_view piece, std::vector<token_id>& out, const Make& make) {
        auto known = pieces_.find(piece);
        if (known == pieces_.end()) {
            known = pieces_.emplace(piece, std::vector<token_id>()).first;
            make(piece, merger_, known->second);
        }
        out.insert(out.end(), known->second.begin(), known->second.end());
    }

private:
    struct text_hash : std::hash<std::string_view> {
        using is_transparent = void;
    };

    merger merger_;
    std::unordered_map<std::string, std::vector<token_id>, text_hash, std::equal_to<>> pieces_;
};

}  // namespace tessera::text
