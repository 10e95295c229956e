#!/usr/bin/env python3
"""Token ids of varied texts by llama.cpp's own tokenizer.

    python gguf_tokens.py MODEL.gguf OUTPUT.json

OUTPUT holds a list of {text, special, ids}: `special` says whether control tokens in the text were recognised. Needs the
package xllamacpp (llama.cpp behind a local server).
"""

import json
import random
import sys
import urllib.request

import xllamacpp

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", " \n", "\n ", " \n \n  ", "a", " a", "a ", "  a  ",
    "ranker", "The best passage comes first.", "It's what we'd say, isn't it? They'll know I'm we've you're.",
    "IT'S WE'D THEY'LL", "’s curly ’quotes’ and “double”", "0", "1234567890", "3.14159", "1,000,000", "12 345", "٣٤٥", "½ Ⅷ ²",
    "a1b2c3", "v1.2.3-rc4+build.5", "2026-11-24T01:37:24Z", "x=1;y=22;z=333;w=4444", "Größe, naïve café, piñata", "Straße ẞ",
    "e\u0301 vs é", "東京都の天気は晴れです。", "你好，世界！", "한국어 문장입니다", "Привет, мир", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم",
    "नमस्ते दुनिया", "สวัสดีชาวโลก", "ქართული", "🙂", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "👍🏽👍🏿", "a🙂b🙂🙂c", "☃ ✓ → ∑ ∞ ≤", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈", "zero\u200bwidth\u200djoin",
    "nbsp\u00a0between\u00a0\u00a0words", "\u3000ideographic space", "\ufeffbom", "\u2028line\u2029para", "control\x01\x02\x1f\x7fchars",
    "def f(x):\n    return x ** 2\n", "fn main() {\n\tprintln!(\"{}\", 1);\n}\n", "for (int i = 0; i < n; ++i) { a[i] += b[i]; }",
    "SELECT * FROM t WHERE a >= 10 AND b <> 'x';", "<div class=\"a\">\n  <p>hi</p>\n</div>", "{\"a\": [1, 2.5, null], \"b\": true}",
    "if x:\n        pass\n\n\n    else:\n\t\tpass", "\\frac{1}{2} \\sum_{i=0}^{n} x_i^2", "https://example.org/a/b?c=d&e=%20f#g",
    "user.name+tag@example.co.uk", "C:\\Program Files\\x.exe", "#!/bin/sh\nset -eu\n", "a\r\nb\r\nc", "\r\r\n", "....", "!!!???", "--- *** ___",
    "$100 €50 £3 ¥7", "50% of 3/4", "(a)(b)[c]{d}", "CamelCaseAndSNAKE_CASE", "antidisestablishmentarianism",
    "Pneumonoultramicroscopicsilicovolcanoconiosis", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "=" * 70, "-" * 33, " " * 65 + "x", "\t" * 9 + "x", "\n" * 9 + "x", "ab" * 60,
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "a<|endoftext|>b", "<|im_start|><|im_end|>", " <|im_end|> ",
    "<|im_start", "|im_end|>", "<repo_name>x<file_sep>y", "<|IM_START|>", "<s>not special</s>", "[INST] no [/INST]", "<|im_start|>  two blanks  <|im_end|>\n\n",
]
WORDS = (
    "passage query ranking score the of and Größe naïve 東京 мир 42 1999 3.5 __init__ foo() bar[0] 'quoted' \"double\" e.g. "
    "it's don't 🙂 👩‍🚀 → ≠ x² <b> </b> &amp; <|im_end|> <|im_start|> <|endoftext|> http://a.b/c #tag @name \\n CamelCase SCREAM déjà-vu"
).split()
GAPS = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "", ", ", ". ", "\r\n", " \n", "\u00a0"]


def texts():
    draw = random.Random(5)
    yield from FIXED
    for _ in range(80):
        yield "".join(draw.choice(WORDS) + draw.choice(GAPS) for _ in range(draw.randint(2, 25)))
    for _ in range(40):
        ranges = [(32, 126), (160, 591), (880, 1279), (0x4E00, 0x4F00), (0x1F300, 0x1F6FF), (9, 13), (0x2000, 0x206F)]
        pick = lambda: chr(draw.randint(*draw.choice(ranges)))
        yield "".join(pick() for _ in range(draw.randint(1, 40)))


def main():
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = 512
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    cases = []
    for text in texts():
        for special in (True, False):
            body = {"content": text, "add_special": True, "parse_special": special}
            request = urllib.request.Request(
                server.listening_address + "/tokenize", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            ids = json.load(urllib.request.urlopen(request))["tokens"]
            cases.append({"text": text, "special": special, "ids": ids})
    # Most texts hold nothing special: their second case would only repeat the first.
    kept = [a for a, b in zip(cases[::2], cases[1::2]) if a["ids"] == b["ids"]]
    kept += [c for a, b in zip(cases[::2], cases[1::2]) if a["ids"] != b["ids"] for c in (a, b)]
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in kept) + "\n]\n")
    print(len(kept), "cases")


if __name__ == "__main__":
    main()
