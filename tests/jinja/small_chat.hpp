// A chat template to test with.
#pragma once

#include <string>

namespace support {

/// More in it than in most templates; refuses all roles but those in this list.
inline std::string small_chat(const std::string& roles = "['system', 'user', 'assistant', 'tool']") {
    return R"(
{%- macro text_of(content) -%}
    {%- if content is string -%}{{ content|trim }}
    {%- else -%}{%- for part in content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{{ bos_token }}
{%- for message in messages %}
    {%- if message.role not in )" +
           roles + R"( %}{{ raise_exception('unknown role ' + message.role) }}{% endif %}
    {{- '<|' + message['role'] + '|>' + text_of(message.content) }}
    {%- for call in message.tool_calls or [] %}{{ '<call>' + call.function.name + (call.function.arguments|tojson) }}{% endfor %}
    {{- '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}{% endif %})";
}

}  // namespace support
