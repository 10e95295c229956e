#!/usr/bin/env python3
"""What transformers makes of conversations with templates of four shapes, and with that of a real model.

    python chat_templates.py MODEL.gguf OUTPUT.json

The templates are written here; of the model only the results are stored. Needs transformers, tokenizers and gguf.
"""

import json
import sys

from gguf import GGUFReader
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TURNS = """{%- for m in messages %}
    {%- if loop.first and m.role != 'system' %}
        {{- '<|im_start|>system\\nBe useful.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + m['role'] + '\\n' + m['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if tools %}
    {{- '\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' ~ tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\n' }}
{%- endif %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

HEADERS = """{% set ns = namespace(first=true) %}{% for m in messages %}
{% if m['role'] not in ['system', 'user', 'assistant'] %}
    {{ raise_exception('no such role: ' + m['role']) }}
{% endif %}
{% set text = '<|header|>' + m['role'] + '<|/header|>\\n\\n' + m['content'].strip() + '<|eot|>' %}
{% if ns.first %}{% set text = bos_token + text %}{% set ns.first = false %}{% endif %}
{{ text }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|header|>assistant<|/header|>\\n\\n' }}
{% endif %}
"""

INSTRUCT = """{%- if messages[0]['role'] == 'system' -%}
{%- set system = messages[0]['content'] -%}{%- set rest = messages[1:] -%}
{%- else -%}{%- set rest = messages -%}{%- endif -%}
{{- bos_token -}}
{%- for m in rest -%}
  {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('user and assistant must take turns') -}}
  {%- endif -%}
  {%- if m['role'] == 'user' -%}
    {%- if loop.last and system is defined -%}{{- '[INST] ' + system + '\\n\\n' + m['content'] + '[/INST]' -}}
    {%- else -%}{{- '[INST] ' + m['content'] + '[/INST]' -}}{%- endif -%}
  {%- else -%}{{- ' ' + m['content'].rstrip() + eos_token -}}{%- endif -%}
{%- endfor -%}"""

REASONING = """{%- macro block(role, text) -%}<{{ role }}>{{ text }}</{{ role }}>{%- endmacro -%}
{%- for m in messages[::-1] -%}
  {%- if loop.index0 == 0 -%}{%- set last = m -%}{%- continue -%}{%- endif -%}
  {%- if loop.index > 3 -%}{%- break -%}{%- endif -%}
  {{- block(m.role | upper, m.content.split('</think>')[-1].lstrip('\\n')) }}
{% endfor -%}
{{- messages | map(attribute='role') | join(',') }} {{ messages | length }} {{ {'a': [1, 2.5, none, true], 'ü': '<&>'} | tojson }}
{{ {'b': 1, 'a': [1, {}]} | tojson(indent=2) }}{{ ['é'] | tojson(ensure_ascii=true) }}
{%- for k, v in extra.items() if v is not none %} {{ k }}={{ v.get('x', 'none') if v is mapping else v }}{% endfor %}
{{ 'yes' if messages[0].content.startswith('Be') and 'x' not in messages[0].content else 'no' }} {{ messages[0].missing is defined }}
"""

TALKS = [
    [("user", "Which passage is best?")],
    [("system", "Be brief."), ("user", "  Rank these.\n")],
    [("user", "a"), ("assistant", "b </think>\n\nc "), ("user", "d <|im_end|> ü 東京"), ("assistant", "e")],
    [("system", "Be\nx"), ("user", ""), ("assistant", "{{ 7 * 7 }} {% raw %}"), ("user", "\"quoted\" & <b>")],
    [("critic", "Not a role.")],
    [("assistant", "I begin."), ("user", "No.")],
]
VARIABLES = [
    {"extra": {}},
    {"extra": {"one": {"x": 1}, "two": None, "three": "3"}, "enable_thinking": False,
     "tools": [{"type": "function", "function": {"name": "find", "parameters": {"q": "<text> é"}}}]},
]


def main():
    reader = GGUFReader(sys.argv[1])
    own = reader.fields["tokenizer.chat_template"].contents()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
    shapes = {"turns": TURNS, "headers": HEADERS, "instruct": INSTRUCT, "reasoning": REASONING, "model": own}
    result = {"templates": {name: text for name, text in shapes.items() if name != "model"}, "cases": []}
    for name, template in shapes.items():
        for talk in TALKS:
            messages = [{"role": role, "content": content} for role, content in talk]
            for prompt in (True, False):
                for variables in VARIABLES:
                    more = dict(variables)
                    tools = more.pop("tools", None)
                    try:
                        text = tokenizer.apply_chat_template(
                            messages, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=prompt, **more
                        )
                        outcome = {"text": text}
                    except Exception as error:
                        outcome = {"error": str(error)}
                    result["cases"].append(
                        {"template": name, "messages": messages, "prompt": prompt, "variables": variables, **outcome}
                    )
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump(result, out, ensure_ascii=False, indent=0)
        out.write("\n")
    print(len(result["cases"]), "cases,", sum("error" in case for case in result["cases"]), "errors")


if __name__ == "__main__":
    main()
