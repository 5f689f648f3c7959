// tokenizer.model: the SentencePiece trainer's protocol buffer.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/huggingface/vocabulary/draft.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"

namespace tessera::huggingface {

/// Walks the fields of one protocol buffer message.
class message_reader {
public:
    enum class wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
    struct field {
        std::uint64_t number = 0;
        wire type = wire::varint;
        std::uint64_t value = 0;  // of a varint or a fixed number
        byte_view bytes;          // of a string or a message
    };

    message_reader(byte_view message, std::string where) : rest_(message), where_(std::move(where)) {}

    /// The next field, or nothing at the end. Throws when the bytes are no message.
    [[nodiscard]] std::optional<field> next() {
        if (rest_.empty()) return std::nullopt;
        const std::uint64_t tag = read_varint();
        field result{.number = tag >> 3, .type = static_cast<wire>(tag & 7), .value = 0, .bytes = {}};
        switch (result.type) {
            case wire::varint: result.value = read_varint(); return result;
            case wire::fixed64: result.value = load_bytes<std::uint64_t>(take(8).data()); return result;
            case wire::fixed32: result.value = load_bytes<std::uint32_t>(take(4).data()); return result;
            case wire::bytes: result.bytes = take(read_varint()); return result;
        }
        fail(where_, ": wanted a SentencePiece model, got a field of wire type ", tag & 7);
    }

private:
    byte_view take(std::uint64_t length) {
        if (length > rest_.size())
            fail(where_, ": wanted a SentencePiece model, got a field of ", length, " bytes where ", rest_.size(),
                 " are left");
        const byte_view taken = rest_.first(static_cast<std::size_t>(length));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    std::uint64_t read_varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = std::to_integer<std::uint64_t>(take(1)[0]);
            value |= (byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        fail(where_, ": wanted a SentencePiece model, got a number of more than 10 bytes");
    }

    byte_view rest_;
    std::string where_;
};

namespace detail {

struct sentence_piece {
    std::string text;
    float score = 0.0f;
    text::token_type type = text::token_type::normal;
};

inline sentence_piece read_piece(byte_view message, const std::string& where) {
    using wire = message_reader::wire;
    sentence_piece piece;
    message_reader fields(message, where);
    while (const auto field = fields.next()) {
        if (field->number == 1 && field->type == wire::bytes)
            piece.text = as_text(field->bytes);
        else if (field->number == 2 && field->type == wire::fixed32)
            piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
        else if (field->number == 3 && field->type == wire::varint)
            // SentencePiece numbers its types as GGUF does. What it calls user-defined merges like any other piece.
            switch (field->value) {
                case 1:
                case 4: piece.type = text::token_type::normal; break;
                case 2:
                case 3:
                case 5:
                case 6: piece.type = static_cast<text::token_type>(field->value); break;
                default: fail(where, ": wanted a piece of type 1 to 6, got ", field->value);
            }
    }
    return piece;
}

inline std::optional<std::uint64_t> read_number(byte_view message, std::uint64_t number, const std::string& where) {
    std::optional<std::uint64_t> value;
    message_reader fields(message, where);
    while (const auto field = fields.next())
        if (field->number == number && field->type == message_reader::wire::varint) value = field->value;
    return value;
}

}  // namespace detail

/// Reads the pieces of a tokenizer.model into a vocabulary of `vocab_size` tokens (0: as many as there are pieces, and
/// at least `least`). Throws when the file is malformed or cut short, holds more pieces than that, or is of a kind that
/// does not merge by score.
[[nodiscard]] inline vocabulary_draft read_sentence_piece_file(const std::filesystem::path& path,
                                                               std::uint64_t vocab_size, std::uint64_t least = 0) {
    constexpr std::uint64_t model_type_field = 3, byte_pair_type = 2, dummy_prefix_field = 3;
    constexpr float padding_score = -10000.0f;
    const mapped_file file(path);
    refuse_foreign(file.bytes(), path.string(), "a SentencePiece vocabulary");
    const std::string where = path.string();
    vocabulary_draft draft;
    draft.model = "llama";

    std::vector<detail::sentence_piece> pieces;
    bool has_trainer = false;
    message_reader fields(file.bytes(), where);
    while (const auto field = fields.next()) {
        if (field->type != message_reader::wire::bytes) continue;
        if (field->number == 1) {
            if (pieces.size() == (vocab_size > 0 ? vocab_size : max_vocabulary_size))
                fail(where, ": wanted at most ", pieces.size(),
                     " pieces, one a row of the model's embedding, got more");
            pieces.push_back(detail::read_piece(field->bytes, where));
        } else if (field->number == 2) {
            has_trainer = true;
            const auto type = detail::read_number(field->bytes, model_type_field, where).value_or(1);
            if (type != byte_pair_type)
                fail(where, ": wanted a SentencePiece model of type 2 (byte-pair encoding), got type ", type);
        } else if (field->number == 3) {
            if (detail::read_number(field->bytes, dummy_prefix_field, where).value_or(1) == 0)
                draft.adds_space_prefix = false;
        }
    }
    if (pieces.empty()) fail(where, ": wanted a SentencePiece model, got one without pieces");
    if (!has_trainer)  // every file has this, after the pieces
        fail(where, ": wanted a SentencePiece model with the settings of its trainer, got ", pieces.size(),
             " pieces and none of these: the file may be cut short");

    draft.trained = pieces.size();
    draft.reset(static_cast<std::size_t>(vocab_size > 0 ? vocab_size : std::max<std::uint64_t>(least, pieces.size())),
                padding_score);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        draft.tokens[i] = std::move(pieces[i].text);
        draft.scores[i] = pieces[i].score;
        draft.types[i] = pieces[i].type;
    }
    return draft;
}

}  // namespace tessera::huggingface
