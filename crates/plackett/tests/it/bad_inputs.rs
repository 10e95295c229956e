//! Bad inputs: each row of the table below is a command that must end with exit code 2 and one sentence that names what
//! is wrong and where. `docs/bad-inputs.md` is this table; `PLACKETT_BLESS=1` writes it anew.

use crate::common;

use crate::common::plackett;
use std::fs;
use std::path::{Path, PathBuf};

/// A row: what is wrong, the command, and pieces that its message must have.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("an empty run", "eval good.qrels empty", &["empty", "empty"]),
    ("a run with five columns", "eval good.qrels five.run", &["five.run", "line 2", "six fields"]),
    ("a score that is no number", "eval good.qrels word.run", &["word.run", "line 1", "score", "high"]),
    ("a NaN score", "eval good.qrels nan.run", &["nan.run", "line 1", "NaN"]),
    ("a document twice in a run", "eval good.qrels twice.run", &["twice.run", "line 2", "line 1"]),
    ("bytes that are no text", "eval good.qrels latin.run", &["latin.run", "line 1", "UTF-8"]),
    ("a line of 10 MB", "eval good.qrels long.run", &["long.run", "line 1", "longer than"]),
    ("a truncated gzip file", "eval good.qrels cut.run.gz", &["cut.run.gz", "too early"]),
    ("a damaged zstd file", "eval good.qrels cut.run.zst", &["cut.run.zst"]),
    ("a file that is not there", "eval good.qrels none.run", &["none.run"]),
    ("a folder instead of a run", "eval good.qrels folder", &["folder", "is a folder"]),
    ("empty judgments", "eval empty good.run", &["empty"]),
    ("judgments with two columns", "eval two.qrels good.run", &["two.qrels", "line 1", "fields"]),
    ("a document judged twice", "eval twice.qrels good.run", &["twice.qrels", "line 2", "line 1"]),
    ("a grade that is no number", "eval word.qrels good.run", &["word.qrels", "line 1", "grade", "good"]),
    ("an unknown measure", "eval good.qrels good.run -m nDGC@10", &["nDGC", "nDCG"]),
    ("a measure with a bad parameter", "eval good.qrels good.run -m AP(rel=x)", &["rel"]),
    (
        "a measure of preferences on judgments",
        "eval good.qrels good.run -m Prefs",
        &["preferences between documents", "--judgments prefs"],
    ),
    (
        "judgments where preferences are said to be",
        "eval good.qrels good.run -R prefs",
        &["good.qrels", "line 1", "five fields"],
    ),
    (
        "preferences that contradict each other",
        "eval contradict.prefs good.run -R prefs",
        &["good.run", "`q`", "group `u`", "contradict"],
    ),
    ("ranks of trec_eval that are none", "eval good.qrels good.run -m P.0,5", &["P.0,5", "ranks from 1"]),
    (
        "a level that no measure reads",
        "eval good.qrels good.run -m nDCG@10 --level 2",
        &["--level 2", "none of the measures"],
    ),
    (
        "samples of a bootstrap that is not made",
        "eval good.qrels good.run --ci none --resamples 9",
        &["--resamples 9"],
    ),
    ("a split of a file", "eval good.qrels good.run --split dev", &["--split dev", "good.qrels"]),
    (
        "standard scores without a deviation",
        "eval good.qrels good.run --trec -Z three.zscores",
        &["three.zscores", "line 1", "four fields"],
    ),
    ("more decimals than a number has", "eval good.qrels good.run -p 70000", &["70000", "from 0 to 17"]),
    ("a full disk", "eval good.qrels good.run --report /dev/full", &["/dev/full"]),
    (
        "a report into a folder that is not there",
        "eval good.qrels good.run --report no/such/r.html",
        &["no/such"],
    ),
    ("no threads", "--threads 0 eval good.qrels good.run", &["--threads 0"]),
    (
        "a memory budget below what a model needs",
        "--memory-budget 40kB embed words --model good.model",
        &["budget is 40000", "raise --memory-budget"],
    ),
    ("broken JSON in a collection", "index json.jsonl -o new1 --no-vectors", &["json.jsonl", "line 2"]),
    ("a document without id", "index noid.jsonl -o new2 --no-vectors", &["noid.jsonl", "line 1", "id"]),
    (
        "a document id that comes twice",
        "index twice.jsonl -o new3 --no-vectors",
        &["twice.jsonl", "`a`", "second time"],
    ),
    ("an empty collection", "index empty.jsonl -o new4 --no-vectors", &["empty.jsonl"]),
    ("a CSV line with too many fields", "index wide.csv -o new5 --no-vectors", &["wide.csv", "line 3"]),
    ("a truncated Parquet file", "index cut.parquet -o new6 --no-vectors", &["cut.parquet"]),
    (
        "a truncated packed Parquet file",
        "index cut.parquet.gz -o new8 --no-vectors",
        &["cut.parquet.gz", "too early"],
    ),
    (
        "a Parquet file as CSV",
        "index cut.parquet -o new9 --no-vectors --input-format csv",
        &["cut.parquet", "is a Parquet table"],
    ),
    (
        "an output folder with other files",
        "index good.jsonl -o folder --no-vectors",
        &["folder", "not empty"],
    ),
    (
        "another analyser for an index that is there",
        "index good.jsonl -o good.index --append --analyzer german",
        &["--analyzer german", "english", "does not change"],
    ),
    (
        "other fields for an index that is there",
        "index good.jsonl -o good.index --append --fields text",
        &["--fields text", "title,text"],
    ),
    (
        "a form of vectors for an index without any",
        "index good.jsonl -o good.index --append --vectors int8",
        &["--vectors int8", "no vectors"],
    ),
    (
        "documents without vectors for an index that has them",
        "index good.jsonl -o vectors.index --append --no-vectors",
        &["--no-vectors", "good.model"],
    ),
    ("a deletion from a new index", "index good.jsonl -o new10 --delete a", &["--delete", "--append"]),
    (
        "names of fields without a collection",
        "index -o good.index --delete a --id-field key",
        &["--id-field", "no collection"],
    ),
    (
        "something else where an index is built first",
        "index good.jsonl -o taken --no-vectors",
        &["taken.unfinished", "in the way"],
    ),
    ("an index whose build was interrupted", "search half words", &["half.unfinished", "plackett index"]),
    (
        "the folder of an interrupted build",
        "search half.unfinished words",
        &["unfinished", "cannot be searched"],
    ),
    (
        "more documents for an index whose build was interrupted",
        "index good.jsonl -o half --append",
        &["half.unfinished", "plackett index"],
    ),
    ("a run's name with a blank", "search good.index words --format trec --tag a\tb", &["--tag", "blanks"]),
    ("a run's name where there is no run", "search good.index words --tag mine", &["--tag", "--format trec"]),
    (
        "a model for a pipeline without rerankers",
        "search good.index words -p bm25 --model good.model",
        &["--model", "no reranker"],
    ),
    (
        "two requests of one name for a run",
        "rerank --method bi-encoder --model good.model --format trec again.jsonl",
        &["two queries have the id `q`"],
    ),
    (
        "a request with an empty query",
        "rerank --method bi-encoder --model good.model --strict silent.jsonl",
        &["line 1", "the query is empty"],
    ),
    ("an index that is not there", "search none.index words", &["none.index", "plackett index"]),
    ("a folder that is no index", "search folder words", &["folder", "no plackett index"]),
    ("an index of a newer version", "search newer words", &["newer", "version 99", "update"]),
    ("a damaged manifest", "search damaged words", &["damaged", "index the collection again"]),
    ("a pipeline that does not parse", "search good.index words -p bm25:x", &["column", "bm25:x"]),
    (
        "an unknown stage",
        "search good.index words -p bm52",
        &["bm52", "did you mean `bm25`?", "plackett method list"],
    ),
    (
        "a weight for a field that the index does not search",
        "search good.index words -p bm25(weights=author:2/text:1)",
        &["`author`", "title, text"],
    ),
    (
        "a weight that is no number",
        "search good.index words -p bm25(weights=title:high)",
        &["`title:high`", "weights=title:2/text:1"],
    ),
    (
        "a filter that cannot be read",
        "search meta.index words --filter year>",
        &["--filter", "column 6", "expected a text in quotes, a number"],
    ),
    (
        "a text without quotes in a filter",
        "search meta.index words --filter tags=pod",
        &["--filter", "column 6", "`pod`"],
    ),
    (
        "a filter of a stage that cannot be read",
        "search meta.index words -p bm25(filter=year>>1)",
        &["bm25(filter=year>>1)", "column 6"],
    ),
    (
        "a filter by a field that no document has",
        "search meta.index words --filter yaer=2024",
        &["--filter", "`yaer`", "did you mean `year`?", "tags (list of keyword), year (number)"],
    ),
    (
        "a filter by a field where no document has any",
        "get good.index --filter year=2024",
        &["--filter", "`year`", "no fields besides title and text"],
    ),
    (
        "a text for a field of numbers",
        "search meta.index words --filter year='2024'",
        &["--filter", "`year` (number) has no texts", "is a text"],
    ),
    (
        "an order of texts",
        "get meta.index --filter tags<'pod'",
        &["--filter", "column 6", "a number or a date behind `<`"],
    ),
    (
        "counts of a field that no document has",
        "search meta.index words --facets tag",
        &["--facets", "did you mean `tags`?"],
    ),
    ("a passage without a query", "get meta.index a --show snippet", &["--show snippet"]),
    (
        "a type that is none",
        "index meta.jsonl -o new31 --field-types year=int",
        &["--field-types year=int", "number"],
    ),
    (
        "a value that is not of its type",
        "index meta.jsonl -o new32 --no-vectors --field-types tags=date",
        &["document `a`", "`tags`", "--field-types says date"],
    ),
    ("vectors that the index does not have", "search good.index words -p dense", &["no vectors"]),
    (
        "another model under the name of an index's model",
        "search swapped.index words -p dense",
        &["swapped.index", "swapped.model", "SHA-256", "index the collection again"],
    ),
    (
        "more documents with another model",
        "index good.jsonl -o vectors.index --append --model swapped.model",
        &["vectors.index", "good.model", "swapped.model", "SHA-256"],
    ),
    (
        "an unknown analyser",
        "index good.jsonl -o new7 --no-vectors --analyzer klingon",
        &["klingon", "english-snowball", "german"],
    ),
    ("a reranker without first stage", "search good.index words -p bi-encoder", &["first stage"]),
    ("queries without a tab", "search good.index --queries notab.tsv", &["notab.tsv", "line 1", "tab"]),
    ("broken requests", "rerank --method bi-encoder --strict bad.jsonl", &["bad.jsonl", "line 1"]),
    (
        "names of fields for requests",
        "rerank --method bi-encoder --id-field key requests.jsonl",
        &["--documents", "requests"],
    ),
    (
        "a text that is longer than the model reads, where such are refused",
        "rerank --method bi-encoder --model good.model --long-text refuse --strict long.jsonl",
        &["query `q`", "document `d`", "tokens", "shorten it"],
    ),
    (
        "a model that is not here, off-line",
        "--offline model pull all-MiniLM-L6-v2",
        &["--offline", "all-MiniLM-L6-v2"],
    ),
    ("an unknown model", "model show no-such-model", &["no-such-model", "directory"]),
    (
        "the wrong model for a method",
        "rerank --method cross-encoder --model good.model requests.jsonl",
        &["cross-encoder", "head"],
    ),
    ("an unknown method", "rerank --method yes-on requests.jsonl", &["`yes-on`", "did you mean `yes-no`?"]),
    (
        "an unknown option of a method",
        "rerank --method yes-no(wrods=80) requests.jsonl",
        &["`wrods`", "yes-no", "did you mean `words`?"],
    ),
    (
        "an option out of its range",
        "rerank --method yes-no(words=0) requests.jsonl",
        &["words is `0`", "a whole number from 1"],
    ),
    (
        "a window of more passages than there can be",
        "rerank --method listwise(window=4000000000) --model tiny.decoder requests.jsonl",
        &["window is `4000000000`", "a whole number from 2 to 10000"],
    ),
    (
        "a manifest into a folder that is not there",
        "rerank --method bi-encoder --model good.model requests.jsonl --output new.out --manifest no/such/m.json",
        &["--manifest: no/such/m.json"],
    ),
    (
        "a manifest where finished requests are kept",
        "rerank --method bi-encoder --model good.model requests.jsonl --output new.out --manifest new.out.unfinished",
        &["--manifest new.out.unfinished", "both are written to the same file"],
    ),
    (
        "an interrupted run of a stream",
        "rerank --method bi-encoder --model good.model --run - --queries q.tsv --documents good.jsonl --output new.out --resume",
        &["--resume", "--run -", "cannot be read again"],
    ),
    (
        "calls of a command that writes over its index",
        "ask good.index words --trace good.index/plackett-index.json",
        &["--trace", "INDEX good.index", "overwritten"],
    ),
    (
        "a longest line where the manifest has it",
        "replay no.manifest.json --max-line-bytes 5",
        &["--max-line-bytes", "the manifest says"],
    ),
    (
        "a last column of a run with a blank",
        "search good.index words --format trec --tag=",
        &["--tag", "a name without blanks is expected"],
    ),
    (
        "a model that reads no prompts",
        "rerank --method yes-no --model good.model requests.jsonl",
        &["yes-no cannot use the model good.model", "reads no prompts", "decoder"],
    ),
    (
        "a prompt with an unknown placeholder",
        "rerank --method yes-no(prompt=quary.toml) --model tiny.decoder requests.jsonl",
        &["quary.toml, line 2", "{quary}", "did you mean {query}?"],
    ),
    (
        "a prompt that is not there",
        "rerank --method yes-no(prompt=none.toml) --model tiny.decoder requests.jsonl",
        &["`none.toml` is neither a file", "yes-no"],
    ),
    (
        "calls of a method that asks no prompts",
        "rerank --method bi-encoder --model good.model --trace calls.jsonl requests.jsonl",
        &["--trace", "no prompts"],
    ),
    (
        "a fall-back of several stages",
        "rerank --method bi-encoder --model good.model --fallback bi-encoder:3 requests.jsonl",
        &["fall-back", "one method"],
    ),
    (
        "a query longer than the model reads",
        "rerank --method query-likelihood --model tiny.decoder --strict longquery.jsonl",
        &["line 1", "query `q`", "shorten the query"],
    ),
    (
        "a passage that does not fit the prompt, where such are refused",
        "rerank --method query-likelihood --model tiny.decoder --long-text refuse --strict long.jsonl",
        &["document `d`", "the prompt has room for"],
    ),
    (
        "passages in pieces for a method with prompts",
        "rerank --method yes-no --model tiny.decoder --long-text chunk-max requests.jsonl",
        &["truncate or refuse"],
    ),
    (
        "a server's address of no known interface",
        "rerank --method cross-encoder --model remote:http://127.0.0.1:1/score requests.jsonl",
        &["/score", "/v1/rerank"],
    ),
    (
        "a method that needs more than a server gives",
        "rerank --method late-interaction --model remote:http://127.0.0.1:1/embed requests.jsonl",
        &["127.0.0.1:1", "one vector per text"],
    ),
    (
        "chunks of a text for a server, which keeps its tokenizer",
        "rerank --method cross-encoder --long-text chunk-max --model remote:http://127.0.0.1:1/rerank requests.jsonl",
        &["its tokenizer"],
    ),
    (
        "weights with a lying header",
        "model show lying.model",
        &["model.safetensors", "byte 0", "header claims"],
    ),
    (
        "truncated weights",
        "model show cut.model",
        &["model.safetensors, byte ", "tensor `", "the file ends at"],
    ),
    (
        "weights without a tensor",
        "model show renamed.model",
        &["byte 8", "layer.0.output.LayerNorm.bias", "missing"],
    ),
    ("a tensor of another shape", "model show wide.model", &["byte ", "tensor `", "shape", "expected"]),
    ("an unknown architecture", "model show poem.model", &["config.json", "byte", "poem", "bert"]),
    ("a broken config.json", "model show broken.model", &["config.json", "not JSON"]),
    ("a tokenizer of another model", "model show mixed.model", &["tokenizer.json", "embedding matrix"]),
    ("a model that is quantised already", "model quantize good.model folder", &["folder", "exists"]),
    (
        "golden outputs of another version",
        "model verify good.model --golden version.json",
        &["version.json", "version 7", "record it again"],
    ),
    (
        "golden outputs with an unknown field",
        "model verify good.model --golden field.json",
        &["field.json", "line 2", "`vectr`", "docs/golden.md"],
    ),
    (
        "golden outputs of another kind of model",
        "model verify tiny.decoder --golden vector.json",
        &["embeddings", "next tokens"],
    ),
    (
        "a model that there is nothing to compare with",
        "model verify good.model",
        &["nothing to compare with", "--record"],
    ),
    ("no prompt", "generate --model tiny.decoder --file empty", &["no prompt"]),
    (
        "an answer that comes twice",
        "generate --model tiny.decoder --choose yes,no,yes a",
        &["--choose", "`yes`", "twice"],
    ),
    ("an empty answer", "generate --model tiny.decoder --choose yes,,no a", &["--choose", "empty"]),
    (
        "an empty line among answers",
        "generate --model tiny.decoder --trie gap.txt a",
        &["gap.txt", "line 2", "empty"],
    ),
    (
        "groups that do not divide the beams",
        "generate --model tiny.decoder --beams 4 --diverse 3 a",
        &["--diverse 3", "--beams 4"],
    ),
    (
        "more tokens than the model has positions",
        "generate --model tiny.decoder --max-tokens 100000 a",
        &["prompt 1", "positions", "--max-tokens"],
    ),
    ("an encoder that is to write", "generate --model good.model a", &["`bert`", "is an encoder", "llama"]),
    ("a GGUF file that is none", "generate --model fake.gguf a", &["fake.gguf", "byte 0", "GGUF"]),
    (
        "an adapter that is none",
        "generate --model tiny.decoder --adapter folder a",
        &["adapter_config.json", "as PEFT saves it"],
    ),
    ("a folder that is no model", "embed words --model folder", &["`folder`", "a folder without a model"]),
    ("a file that is no model", "generate words --model good.run", &["`good.run`", "no GGUF file"]),
    ("a model that is not there", "model show ./gone", &["`./gone`", "is not there", "config.json"]),
    ("a misspelt model", "generate words --model smolm2", &["did you mean", "SmolLM2-135M-Instruct"]),
    ("a cross-encoder that is to embed", "embed words --model cross.model", &["cross.model", "scores pairs"]),
    (
        "an index of a cross-encoder's vectors",
        "index good.jsonl -o new20 --model cross.model",
        &["cross.model", "scores pairs"],
    ),
    (
        "a decoder that is to score pairs",
        "rerank --method cross-encoder --model tiny.decoder requests.jsonl",
        &["tiny.decoder", "writes text", "prompt=yes-no"],
    ),
    (
        "a prompt for a cross-encoder",
        "rerank --method cross-encoder(prompt=yes-no) --model cross.model requests.jsonl",
        &["cross.model", "scores of its own"],
    ),
    (
        "an embedding model that is to write",
        "generate --model tiny.embedder a",
        &["tiny.embedder", "embedding model", "modules.json"],
    ),
    (
        "a prompt that the model does not have",
        "embed a --model good.model --prompt quary",
        &["--prompt quary", "--prefix"],
    ),
    (
        "a limit below the special tokens",
        "embed a --model good.model --max-tokens 2",
        &["--max-tokens 2", "special tokens"],
    ),
    (
        "chunks with gaps between them",
        "rerank --method bi-encoder --long-text chunk-max --chunk-size 9 --chunk-stride 10 requests.jsonl",
        &["--chunk-stride 10", "9"],
    ),
    (
        "a query without text",
        "rerank --method bi-encoder --model good.model --strict noquery.jsonl",
        &["query `q`", "empty"],
    ),
    ("a search of no beam", "generate --model tiny.decoder --beams 0 a", &["--beams 0", "from 1"]),
    (
        "a temperature below 0",
        "generate --model tiny.decoder --sample --temperature -1 a",
        &["--temperature -1", "0 for the most probable token"],
    ),
    (
        "a temperature where nothing is drawn",
        "generate --model tiny.decoder --temperature 0.7 a",
        &["--temperature 0.7", "--sample"],
    ),
    (
        "a seed where nothing is drawn",
        "generate --model tiny.decoder --sample --temperature 0 --seed 7 a",
        &["--seed", "--temperature 0"],
    ),
    (
        "more outputs than there are",
        "generate --model tiny.decoder --results 2 a",
        &["--results 2", "--beams"],
    ),
    ("a stop of no text", "generate --model tiny.decoder --stop= a", &["--stop", "leave it out"]),
    (
        "an ordering from a server that only writes text",
        "generate --model remote:http://127.0.0.1:1/v1/completions --permutation 3 a",
        &["--permutation", "127.0.0.1:1"],
    ),
    ("judgments with five columns", "eval five.qrels good.run", &["five.qrels, line 1", "found 5 fields"]),
    (
        "BEIR judgments with a fourth column",
        "eval four.tsv good.run",
        &["four.tsv, line 3", "found 4 fields"],
    ),
    (
        "a run with seven columns",
        "eval good.qrels seven.run",
        &["seven.run, line 1", "found 7 fields", "--compat trec_eval-10"],
    ),
    (
        "a run with seven columns for a model",
        "rerank --method bi-encoder --queries q.tsv --run seven.run --documents good.jsonl",
        &["seven.run, line 1", "found 7 fields"],
    ),
    (
        "an MS MARCO run with a fourth column",
        "eval good.qrels marco.run",
        &["marco.run, line 2", "three fields"],
    ),
    (
        "a comment under the rules of trec_eval 9",
        "eval --compat trec_eval-9 good.qrels comment.run",
        &["comment.run, line 1", "six fields"],
    ),
    (
        "a comment without a blank behind its mark",
        "eval good.qrels note.run",
        &["note.run, line 1", "found 1 field"],
    ),
    (
        "a comment without a blank in judgments",
        "eval note.qrels good.run",
        &["note.qrels, line 1", "`#` and a blank"],
    ),
    (
        "queries with a third column",
        "search good.index --queries tabs.tsv",
        &["tabs.tsv, line 2", "found 3 fields", "tabs"],
    ),
    ("queries as CSV", "search good.index --queries q.csv", &["q.csv, line 1", "CSV"]),
    ("queries in XML", "search good.index --queries q.xml", &["q.xml", "no <top> record"]),
    (
        "a folder that has no queries",
        "search good.index --queries folder",
        &["folder/queries.jsonl", "not there"],
    ),
    (
        "a query without an id",
        "search good.index --queries noqid.jsonl",
        &["noqid.jsonl, line 1", "no query id", "`words`"],
    ),
    (
        "a quotation mark that is never closed",
        "index open.csv -o new10 --no-vectors",
        &["open.csv, line 2", "quotation mark", "never closed"],
    ),
    (
        "a quotation mark that is never closed, in documents for a model",
        "rerank --method bi-encoder --queries q.tsv --run good.run --documents open.csv",
        &["open.csv, line 2", "never closed"],
    ),
    (
        "a quotation mark that is never closed, in documents for a report",
        "compare good.qrels good.run other.run --report r.html --documents open.csv",
        &["open.csv, line 2", "never closed"],
    ),
    (
        "a quotation mark in the middle of a field",
        "index stray.csv -o new11 --no-vectors",
        &["stray.csv, line 2", "closes on line 2", "`s`"],
    ),
    (
        "two columns of one name",
        "index same.csv -o new12 --no-vectors",
        &["same.csv", "two columns", "`text`"],
    ),
    (
        "a field that is there twice",
        "index same.jsonl -o new13 --no-vectors",
        &["same.jsonl, line 1", "`text`"],
    ),
    (
        "a searched field that no document has",
        "index good.jsonl -o new14 --no-vectors --fields titel,text",
        &["`titel`", "--fields", "`_id`, `text`"],
    ),
    (
        "a searched column that a table does not have",
        "index good.csv -o new15 --no-vectors --fields title,body",
        &["good.csv", "`body`", "`id`, `title`, `text`"],
    ),
    (
        "a field of titles that no document has",
        "index good.csv -o new16 --no-vectors --title-field titel",
        &["`titel`", "--title-field"],
    ),
    (
        "a field of texts that no document has",
        "rerank --method bi-encoder --queries q.tsv --run good.run --documents good.jsonl --text-field body",
        &["good.jsonl, line 1", "body", "--text-field", "`text`"],
    ),
    (
        "front matter that does not parse",
        "index matter.md -o new17 --no-vectors",
        &["matter.md, line 3", "front matter", "mend it"],
    ),
    (
        "a text in the place of records",
        "index words.txt -o new18 --no-vectors --input-format jsonl",
        &["words.txt, line 1", "no JSON", "--input-format text"],
    ),
    (
        "a page whose text is lost in a comment",
        "index page.html -o new19 --no-vectors",
        &["page.html", "line 2", "a comment", "never closed"],
    ),
    (
        "a page under another name",
        "index page.dat -o new34 --no-vectors",
        &["page.dat", "--input-format html"],
    ),
    (
        "a page from standard input, which has no name for the id",
        "index - -o new35 --no-vectors --input-format html",
        &["standard input", "no name"],
    ),
    (
        "an array with a wrong record",
        "index array.json -o new36 --no-vectors",
        &["array.json, line 3", "`text`"],
    ),
    (
        "a table of four columns without names",
        "index columns.tsv -o new37 --no-vectors",
        &["columns.tsv, line 1", "4 fields"],
    ),
    ("CSV under another name", "index table.dat -o new20 --no-vectors", &["table.dat", "--input-format csv"]),
    (
        "an object over several lines",
        "index pretty.json -o new21 --no-vectors",
        &["pretty.json, line 1", "one line"],
    ),
    ("a PDF that cannot be read", "index paper.pdf -o new22 --no-vectors", &["paper.pdf", "pdftotext"]),
    ("a PDF among texts", "index pdfs -o new23 --no-vectors", &["fake.txt", "is a PDF"]),
    ("a zip archive as judgments", "eval corpus.zip good.run", &["corpus.zip", "zip archive"]),
    ("UTF-16 as judgments", "eval utf16.txt good.run", &["utf16.txt", "UTF-16", "iconv"]),
    ("UTF-16 as a run", "eval good.qrels utf16.txt", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as queries", "search good.index --queries utf16.txt", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as requests", "rerank --method bi-encoder utf16.txt", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as CSV", "index utf16.txt -o new24 --no-vectors --input-format csv", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as texts", "embed --model good.model --input utf16.txt", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as answers", "generate --model tiny.decoder --trie utf16.txt a", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as prompts", "generate --model tiny.decoder --file utf16.txt", &["utf16.txt", "UTF-16"]),
    ("UTF-16 as ids to delete", "index -o good.index --delete @utf16.txt", &["utf16.txt", "UTF-16"]),
    ("a folder as texts", "embed --model good.model --input folder", &["folder", "is a folder"]),
    ("a folder as answers", "generate --model tiny.decoder --trie folder a", &["folder", "is a folder"]),
    ("a folder as requests", "rerank --method bi-encoder folder", &["folder", "is a folder"]),
    (
        "a folder as a table",
        "index folder -o new25 --no-vectors --input-format parquet",
        &["folder", "is a folder, expected a file"],
    ),
    (
        "a folder without texts",
        "index tables -o new26 --no-vectors",
        &["tables", "no file that is read", "tables/d.jsonl"],
    ),
    (
        "a file in the place of an index",
        "search good.jsonl words",
        &["good.jsonl", "is a file", "plackett index"],
    ),
    (
        "a file in the place of a new index",
        "index good.jsonl -o good.run --no-vectors",
        &["good.run", "is a file, expected a folder"],
    ),
    (
        "a path that goes through a file",
        "eval good.qrels good.run/more",
        &["good.run/more", "a part of the path is a file"],
    ),
    (
        "a request whose id is none",
        "rerank --method bi-encoder --strict badid.jsonl",
        &["badid.jsonl, line 1", "`docid`", "neither a text nor a number"],
    ),
    (
        "a document above the limit",
        "--max-line-bytes 20 index good.jsonl -o new27 --no-vectors",
        &["good.jsonl, line 1", "20 bytes", "--max-line-bytes"],
    ),
    (
        "a request above the limit",
        "--max-line-bytes 20 rerank --method bi-encoder --strict requests.jsonl",
        &["requests.jsonl, line 1", "--max-line-bytes"],
    ),
    (
        "a query above the limit",
        "--max-line-bytes 3 search good.index --queries q.tsv",
        &["--max-line-bytes"],
    ),
    ("a judgment above the limit", "--max-line-bytes 3 eval good.qrels good.run", &["--max-line-bytes"]),
    (
        "a recipe with a circle",
        "recipe check ./circle.toml",
        &["circle.toml, line 3", "circle", "a → b → a", "^"],
    ),
    (
        "a recipe with a misspelt key",
        "recipe check ./key.toml",
        &["key.toml, line 5", "`colection`", "did you mean `collection`?", "^^^^^^^^^"],
    ),
    (
        "a recipe with an unknown kind of stage",
        "recipe check ./kind.toml",
        &["kind.toml, line 4", "`retreive`", "did you mean `retrieve`?"],
    ),
    (
        "a recipe with an unknown method",
        "recipe check ./method.toml",
        &["method.toml, line 10", "`late-interacton`", "did you mean `late-interaction`?"],
    ),
    (
        "a recipe with a pipeline that does not parse",
        "recipe check ./pipeline.toml",
        &["pipeline.toml, line 10", "expected", "^"],
    ),
    (
        "a claim about a stage that does not exist",
        "recipe check ./claim.toml",
        &["claim.toml, line 14", "no stage `qualty`", "did you mean `quality`?"],
    ),
    (
        "a claim about a number that is not measured",
        "recipe check ./number.toml",
        &["number.toml, line 14", "`judged/nDCG@5`", "did you mean `judged/nDCG@10`?"],
    ),
    (
        "a claim that could not fail",
        "recipe check ./bound.toml",
        &["bound.toml, line 14", "at_least", "could not fail"],
    ),
    (
        "a stage twice in a recipe",
        "recipe check ./twice.toml",
        &["twice.toml, line 5", "not TOML", "duplicate"],
    ),
    (
        "a stage in the place of another kind",
        "recipe check ./place.toml",
        &["place.toml, line 8", "`judged` gives a collection", "an index"],
    ),
    (
        "a value out of its range in a recipe",
        "recipe check ./range.toml",
        &["range.toml, line 6", "`queries`", "whole number from 0", "`-3`"],
    ),
    ("a recipe without a needed key", "recipe check ./lack.toml", &["lack.toml, line 3", "`collection`"]),
    ("a recipe that is no TOML", "recipe check ./broken.toml", &["broken.toml, line 1", "not TOML"]),
    ("a recipe without a stage", "recipe check ./empty.toml", &["empty.toml, line 1", "[stage.NAME]"]),
    (
        "an unknown simulation",
        "recipe check ./simulation.toml",
        &["simulation.toml, line 5", "`window`", "`windows`"],
    ),
    (
        "a measure in a recipe that there is not",
        "recipe check ./measure.toml",
        &["measure.toml, line 11", "nDGC"],
    ),
    (
        "a collection that is not here",
        "recipe check ./data.toml",
        &["data.toml, line 3", "no-such-set", "PLACKETT_DATA"],
    ),
    (
        "a list that a collection does not have",
        "recipe check ./list.toml",
        &["list.toml, line 3", "`bm52`", "judged"],
    ),
    ("a recipe of no name", "recipe show hybird", &["`hybird`", "did you mean `hybrid`?"]),
    ("a recipe's name that is none", "recipe new My_Recipe", &["`My_Recipe`", "small letters"]),
    (
        "a new recipe with the name of one that is built in",
        "recipe new hybrid",
        &["`hybrid`", "choose another name"],
    ),
    ("a folder of recipes that is not there", "recipe list --dir no/such", &["no/such"]),
    (
        "BEIR judgments with four named columns",
        "eval weight.tsv good.run",
        &["weight.tsv, line 1", "found 4 fields"],
    ),
    (
        "judgments without grades",
        "eval grade.qrels good.run",
        &["grade.qrels, line 1", "`qid iter docno rel`, found 3"],
    ),
    ("judgments in another order", "eval order.tsv good.run", &["order.tsv: line 1", "another order"]),
    ("judgments with commas", "eval commas.csv good.run", &["commas.csv: line 1", "commas"]),
    ("a grade beyond all numbers", "eval huge.qrels good.run", &["huge.qrels, line 1", "lie between"]),
    ("a part of a grade in JSON", "eval part.json good.run", &["part.json", "`1.7`", "whole number"]),
    ("a text for a score in JSON", "eval good.qrels text.json", &["text.json, line 1", "the text \"high\""]),
    (
        "a list for a query in JSON",
        "eval list.json good.run",
        &["list.json, line 1", "a list where there must be"],
    ),
    ("a run of nothing but comments", "eval good.qrels remarks.run", &["remarks.run", "1 line is a comment"]),
    (
        "a judged query that the run lacks, where that is an error",
        "eval more.qrels good.run --compat trec_eval-10",
        &["lacks 1 of 2", "--missing zero"],
    ),
    ("an empty id to delete", "index -o good.index --delete a,,b", &["--delete", "an id is empty"]),
    ("no id to delete", "index -o good.index --delete=", &["--delete", "an id is empty"]),
    ("no id to delete in a file", "index -o good.index --delete @empty", &["--delete @empty", "no id"]),
    (
        "numbers for documents without a collection",
        "index -o good.index --delete b --number-missing-ids",
        &["--number-missing-ids", "no collection"],
    ),
    (
        "calls written over the requests",
        "rerank --method yes-no --model tiny.decoder requests.jsonl --trace requests.jsonl",
        &["--trace requests.jsonl", "FILE requests.jsonl", "overwritten"],
    ),
    (
        "calls written over the documents",
        "rerank --method yes-no --model tiny.decoder --queries q.tsv --run good.run --documents good.jsonl --trace ./good.jsonl",
        &["--trace ./good.jsonl", "--documents good.jsonl"],
    ),
    (
        "calls written over the model",
        "rerank --method yes-no --model tiny.decoder requests.jsonl --trace tiny.decoder/config.json",
        &["--trace", "--model tiny.decoder"],
    ),
    (
        "a report over a run",
        "eval good.qrels good.run --report good.run",
        &["--report good.run", "RUN good.run"],
    ),
    (
        "a report over the judgments",
        "eval good.qrels good.run --report good.qrels",
        &["--report", "QRELS good.qrels"],
    ),
    (
        "a report over its own queries",
        "compare good.qrels good.run other.run --queries q.tsv --report q.tsv",
        &["--report q.tsv", "--queries q.tsv"],
    ),
    (
        "a report over a recipe",
        "recipe run ./list.toml --report list.toml",
        &["--report list.toml", "RECIPE ./list.toml"],
    ),
    (
        "documents for a report that shows none",
        "eval good.qrels good.run --report r.html --documents none",
        &["--documents", "`compare`"],
    ),
    (
        "names of fields for a report that shows no documents",
        "eval good.qrels good.run --report r.html --id-field key",
        &["--id-field", "`compare`"],
    ),
    (
        "names of fields for documents that are not named",
        "compare good.qrels good.run other.run --report r.html --id-field key",
        &["--id-field", "--documents"],
    ),
    (
        "documents for a report that are not there",
        "compare good.qrels good.run good.run --report r.html --documents none.jsonl",
        &["none.jsonl", "there is no such file"],
    ),
    (
        "a field of plain text",
        "index words.txt -o new30 --no-vectors --input-format text --id-field key",
        &["--id-field key", "plain text"],
    ),
    (
        "numbers for plain texts, which have them",
        "index words.txt -o new31 --no-vectors --input-format text --number-missing-ids",
        &["--number-missing-ids", "by their lines"],
    ),
    (
        "a searched field of plain text",
        "index words.txt -o new32 --no-vectors --input-format text --fields text,foo",
        &["`foo` of --fields"],
    ),
    (
        "a field of the files of a folder",
        "index texts -o new33 --no-vectors --title-field t",
        &["--title-field t", "leave it out"],
    ),
    (
        "a sync with another collection than before",
        "index good.jsonl -o synced.index --sync",
        &["kept in step with", "good.csv", "good.jsonl"],
    ),
    ("a sync without a collection", "index -o good.index --sync", &["COLLECTION"]),
    ("a sync that adds", "index good.jsonl -o good.index --sync --append", &["--sync", "--append"]),
    (
        "a sync with a folder that has been emptied",
        "index tables -o synced.index --sync",
        &["tables", "no file that is read"],
    ),
    (
        "a run's name where requests are given back",
        "rerank --method bi-encoder --model good.model --tag x requests.jsonl",
        &["--tag", "--format trec"],
    ),
    (
        "a run's name that cannot be seen",
        "search good.index words --format trec --tag a\u{200b}b",
        &["--tag", "U+200B"],
    ),
    (
        "long texts where no model reads",
        "search good.index words -p bm25 --long-text refuse",
        &["--long-text", "`bm25` has no reranker"],
    ),
    (
        "an explanation in a run",
        "search good.index --queries q.tsv --explain",
        &["--explain", "--format text"],
    ),
    (
        "a highest score without scores",
        "generate --model tiny.decoder --choose yes,no --max-score 3 a",
        &["--max-score", "--scores"],
    ),
    (
        "a rounding of recall that no measure reads",
        "eval good.qrels good.run -m nDCG@10 --recall-cut nearest",
        &["--recall-cut nearest", "IPrec"],
    ),
    (
        "a longest line where none is read",
        "--max-line-bytes 20 embed words",
        &["--max-line-bytes", "reads no documents"],
    ),
    (
        "a longest line for one query",
        "--max-line-bytes 20 search good.index words",
        &["--max-line-bytes", "no file of queries"],
    ),
    (
        "a longest line of nothing",
        "--max-line-bytes 0 eval good.qrels good.run",
        &["--max-line-bytes", "the length of a line"],
    ),
    (
        "more threads than can be",
        "--threads 999999 eval good.qrels good.run",
        &["--threads 999999", "core", "up to"],
    ),
    (
        "a number that is too large",
        "search good.index words -k 99999999999999999999",
        &["--top-k", "this one is too large"],
    ),
    (
        "no requests",
        "rerank --method bi-encoder --model good.model empty.jsonl",
        &["empty.jsonl", "expected requests", "the file is empty"],
    ),
    (
        "an empty id",
        "index void.csv -o new34 --no-vectors",
        &["void.csv, line 2", "no id in `id`, which is empty"],
    ),
    (
        "an id of a query that is none",
        "search good.index --queries truth.jsonl",
        &["truth.jsonl, line 1", "`_id`, which is true or false"],
    ),
    (
        "a list for a text of a query",
        "search good.index --queries words.jsonl",
        &["words.jsonl, line 1", "`text`, which is a list"],
    ),
    (
        "a list for a title of a candidate",
        "rerank --method bi-encoder --model good.model --strict titles.jsonl",
        &["titles.jsonl, line 1", "`title` is a list"],
    ),
    (
        "two numbers in a topic",
        "search good.index --queries two.topics",
        &["two.topics: line 1", "two <num>"],
    ),
    (
        "words between topics",
        "search good.index --queries junk.topics",
        &["junk.topics: line 5", "`lost words`"],
    ),
    ("standard input twice", "eval - -", &["standard input (`-`)", "QRELS and for RUN"]),
    ("standard input for two runs", "compare good.qrels - -", &["standard input (`-`)", "RUN"]),
    (
        "standard input for queries and documents",
        "rerank --method bi-encoder --run good.run --queries - --documents -",
        &["--queries and for --documents"],
    ),
    (
        "standard input for documents and ids",
        "index - -o good.index --append --delete @-",
        &["COLLECTION and for --delete"],
    ),
    // Numbers of flags.
    (
        "more samples than are drawn",
        "compare good.qrels good.run other.run --resamples 999999999999",
        &["--resamples 999999999999", "from 1 to 1000000"],
    ),
    (
        "more sign patterns than are drawn",
        "compare good.qrels good.run other.run --samples 999999999999",
        &["--samples 999999999999", "from 1 to 1000000"],
    ),
    ("a seed below 0", "eval good.qrels good.run --seed -1", &["--seed -1", "whole number from 0"]),
    ("decimals below 0", "eval good.qrels good.run -p -1", &["--digits -1", "from 0 to 17"]),
    ("a collection below 0", "eval good.qrels good.run -N -1", &["--collection-size -1", "from 0"]),
    (
        "a chance below 0",
        "compare good.qrels good.run other.run --alpha -1",
        &["--alpha -1", "above 0 and below 1"],
    ),
    (
        "a level that is no whole number",
        "eval good.qrels good.run --level 3000000000",
        &["--level 3000000000", "whole number"],
    ),
    (
        "fewer tokens than none",
        "generate --model tiny.decoder --max-tokens -1 a",
        &["--max-tokens -1", "whole number from 1"],
    ),
    ("a number in words", "search good.index words -k ten", &["--top-k ten", "whole number from 1"]),
    ("a memory budget below 0", "--memory-budget -1 search good.index words", &["--memory-budget -1", "2GB"]),
    // Files in the wrong place.
    ("UTF-16 as a recipe", "recipe check ./utf16.txt", &["utf16.txt", "UTF-16", "iconv"]),
    ("bytes that are no text as a recipe", "recipe check ./latin.run", &["latin.run, line 1", "UTF-8"]),
    ("a folder as a recipe", "recipe check ./folder", &["folder", "is a folder"]),
    ("a recipe that is not there", "recipe check ./gone.toml", &["gone.toml", "no such file"]),
    (
        "UTF-16 as a prompt",
        "rerank --method yes-no(prompt=utf16.txt) --model tiny.decoder requests.jsonl",
        &["utf16.txt", "UTF-16", "iconv"],
    ),
    (
        "a folder as a prompt",
        "rerank --method yes-no(prompt=folder) --model tiny.decoder requests.jsonl",
        &["folder", "is a folder"],
    ),
    (
        "a prompt that is no TOML",
        "rerank --method yes-no(prompt=good.jsonl) --model tiny.decoder requests.jsonl",
        &["good.jsonl, line 1", "not TOML"],
    ),
    (
        "a file as the cache of recipes",
        "recipe run prp --dry-run --cache empty",
        &["--cache empty", "is a file"],
    ),
    (
        "an index as a collection",
        "index good.index -o new30 --no-vectors",
        &["good.index", "is an index", "--append"],
    ),
    (
        "an index as documents for a model",
        "rerank --method bi-encoder --queries q.tsv --run good.run --documents good.index",
        &["good.index", "is an index"],
    ),
    (
        "an adapter that is not there",
        "generate --model tiny.decoder --adapter gone a",
        &["--adapter gone", "is not there"],
    ),
    (
        "a file as an adapter",
        "generate --model tiny.decoder --adapter good.run a",
        &["--adapter good.run", "is a file"],
    ),
    ("a device as a model", "embed words --model /dev/null", &["`/dev/null`", "is a device"]),
    ("no text in a file", "embed --model good.model --input empty", &["empty: there is no text"]),
    (
        "runs without a query in common",
        "compare pair.qrels good.run p.run --missing skip",
        &["no query in common", "--missing zero"],
    ),
    ("a vote without a winner", "arena fit nowinner.votes", &["nowinner.votes", "line 2", "no `winner`"]),
    ("a winner that is none", "arena fit word.votes", &["word.votes", "line 1", "`perhaps`"]),
    ("votes that are no votes", "arena fit good.run", &["good.run", "no column `model_a`"]),
    (
        "votes of a model against itself alone",
        "arena fit itself.votes",
        &["no votes", "1 of a model against itself"],
    ),
    (
        "ratings without a penalty where one model never loses",
        "arena fit good.votes --penalty 0",
        &["`x` never lost", "--penalty"],
    ),
    ("an anchor that no vote names", "arena fit good.votes --anchor z=800", &["no model `z`"]),
    ("an anchor without a rating", "arena fit good.votes --anchor x", &["--anchor x", "MODEL=RATING"]),
    ("votes by voters without voters", "arena fit good.votes --by-voter", &["--by-voter", "who voted"]),
    ("a category that no vote has", "arena fit good.votes --category code", &["--category code", "no vote"]),
    ("a judge's label that is none", "arena judge label.answers", &["label.answers", "line 1", "`good`"]),
    ("models of which none can be drawn", "arena pairs zero.models", &["no model has a weight"]),
    ("a rival that is no model", "arena pairs rival.models", &["rival.models", "`z`", "`x`"]),
    (
        "a policy that is none",
        "route new new.route --arm a --dimension 2 --policy pak-ubc",
        &["pak-ubc", "pak-ucb"],
    ),
    (
        "an option without effect",
        "route new new.route --arm a --dimension 2 --policy pak-ucb(kernel=rbf,gamma=2)",
        &["`gamma` has no effect"],
    ),
    ("an arm twice", "route new new.route --arm a --arm a --dimension 2", &["`a` stands twice"]),
    ("a route that is none", "route choose good.run --context 1,2", &["good.run", "no route"]),
    ("a context that is no number", "route choose good.route --context 1,x", &["--context", "`x`"]),
    ("a context of another length", "route choose good.route --context 1", &["1 numbers, and 2"]),
    (
        "a reward of an arm that is not there",
        "route reward good.route --arm c --reward 1 --context 1,2",
        &["no arm `c`", "a, b"],
    ),
    ("a text for a route of numbers", "route choose good.route words", &["--context"]),
    ("a reward that is missing", "route replay lack.rewards", &["lack.rewards", "line 2", "`b`"]),
    // Documents in passages.
    (
        "passages without a word",
        "index good.jsonl -o new40 --no-vectors --chunk 0",
        &["--chunk 0", "size is `0`"],
    ),
    (
        "passages that share all they have",
        "index good.jsonl -o new40 --no-vectors --chunk 50/50",
        &["--chunk 50/50", "cannot share 50"],
    ),
    (
        "a chunker that is none",
        "index good.jsonl -o new40 --no-vectors --chunk sentence:5",
        &["--chunk sentence:5", "did you mean `sentences`?"],
    ),
    (
        "passages longer than the model reads",
        "index good.jsonl -o new40 --model good.model --chunk 5000/0",
        &["--chunk tokens(size=5000, overlap=0)", "cut passages of at most", "good.model"],
    ),
    (
        "more passages than a document may have",
        "index words.csv -o new40 --no-vectors --chunk 1/0",
        &["document `many`", "100001 passages", "100000 at most"],
    ),
    (
        "an id like those of passages",
        "index passage.csv -o new40 --no-vectors --chunk 200/50",
        &["`page#12`", "ends with `#` and a number"],
    ),
    (
        "passages for an index of whole documents",
        "index good.jsonl -o good.index --append --chunk 200/50",
        &["--chunk tokens(size=200, overlap=50)", "good.index", "whole documents"],
    ),
    (
        "other passages than those of an index",
        "index good.jsonl -o chunked.index --append --chunk sentences:5",
        &["--chunk sentences(count=5)", "passages of tokens(size=200, overlap=50)"],
    ),
    (
        "passages of an index of whole documents",
        "search good.index words --group passage",
        &["--group passage", "good.index", "not cut into passages"],
    ),
    (
        "an answer that is neither documents nor passages",
        "search chunked.index words --group chapter",
        &["--group chapter", "use document, passage"],
    ),
    (
        "docids of documents that are cut into passages",
        "search chunked.index words -p generate(model=good.model)",
        &["cut into passages", "without --chunk"],
    ),
    (
        "docids learned from passages",
        "ids learn chunked.index -o new40",
        &["chunked.index", "cut into passages", "without --chunk"],
    ),
    (
        "docids of documents without words",
        "ids learn wordless.index -o new41",
        &["1 document has no words", "no text to learn from", "no labelled queries"],
    ),
    (
        "weights of kinds of texts that are none",
        "ids learn good.index -o new42 --weights 1:2",
        &["--weights 1:2", "three numbers", "such as 1:2:1"],
    ),
    (
        "a decoder that changes nothing with docids of one token",
        "ids learn good.index -o new44 --decoder prefix-aware",
        &["scheme `atomic`", "changes nothing", "`plain`"],
    ),
    // Interactions.
    (
        "a rating that is no number",
        "recommend eval word.events",
        &["word.events, line 2", "rating is `five`", "a number is expected"],
    ),
    ("an event without an item", "recommend eval short.events", &["short.events, line 2", "user, item"]),
    ("no interactions", "recommend eval empty", &["empty", "interactions of users and items"]),
    (
        "nobody with an event before the one that is asked for",
        "recommend eval once.events",
        &["no user has an event to ask for and one before it"],
    ),
    (
        "ratings of which none is high enough",
        "recommend fit good.events -o new41 --least-rating 9",
        &["good.events", "all 4 events have a lower rating"],
    ),
    (
        "a core that nobody is in",
        "recommend fit good.events -o new41 --core 3",
        &["--core 3", "give a smaller number"],
    ),
    (
        "interactions beyond the memory budget",
        "--memory-budget 1000 recommend fit good.events -o new41",
        &["4 events of 3 users with 3 items", "--memory-budget gives 1000 bytes", "--least-rating"],
    ),
    (
        "a recommender that is none",
        "recommend fit good.events -o new41 --recommender hsu",
        &["did you mean `hstu`"],
    ),
    ("a model that is none", "recommend folder --user u", &["folder", "plackett recommend fit"]),
];

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity").join(name)
}

/// A copy of a tiny model, with one file changed.
fn model(folder: &Path, name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    for own in ["config.json", "tokenizer.json", "model.safetensors"] {
        let bytes = fs::read(parity("bert").join(own)).unwrap();
        let bytes = if own == file { change(bytes) } else { bytes };
        write(folder, &format!("{name}/{own}"), bytes);
    }
}

fn replaced(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

fn prepare(folder: &Path) {
    let gzip_start = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x33, 0x54];
    for (name, content) in [
        ("good.qrels", &b"q 0 a 1\n"[..]),
        ("good.run", b"q Q0 a 1 2.5 t\n"),
        ("pair.qrels", b"q 0 a 1\np 0 a 1\n"),
        ("p.run", b"p Q0 a 1 2.5 p\n"),
        ("contradict.prefs", b"q u 1 a 2\nq u 1 b 1\nq u 2 b 2\nq u 2 a 1\n"),
        ("three.zscores", b"q map 0.5\n"),
        ("empty", b""),
        ("empty.jsonl", b""),
        ("five.run", b"q Q0 a 1 2.5 t\nq Q0 b 2 1.5\n"),
        ("word.run", b"q Q0 a 1 high t\n"),
        ("nan.run", b"q Q0 a 1 NaN t\n"),
        ("twice.run", b"q Q0 a 1 2 t\nq Q0 a 2 1 t\n"),
        ("latin.run", b"q Q0 \xfc 1 2 t\n"),
        ("cut.run.gz", &gzip_start),
        ("cut.run.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x50]),
        ("folder/file", b"something"),
        ("two.qrels", b"q a\n"),
        ("twice.qrels", b"q 0 a 1\nq 0 a 2\n"),
        ("word.qrels", b"q 0 a good\n"),
        ("quary.toml", b"body = \"{doc}\"\nsuffix = \"{quary}\"\nlabels = [\"A\", \"B\"]\n"),
        ("good.jsonl", b"{\"_id\": \"a\", \"text\": \"some words\"}\n"),
        ("meta.jsonl", b"{\"_id\": \"a\", \"text\": \"some words\", \"year\": 2024, \"tags\": [\"pod\"]}\n"),
        ("json.jsonl", b"{\"_id\": \"a\", \"text\": \"b\"}\n{\"_id\": \"b\", \n"),
        ("noid.jsonl", b"{\"text\": \"b\"}\n"),
        ("twice.jsonl", b"{\"_id\": \"a\", \"text\": \"b\"}\n{\"_id\": \"a\", \"text\": \"c\"}\n"),
        ("wide.csv", b"id,text\na,b\nc,d,e\n"),
        ("cut.parquet", b"PAR1 and nothing more"),
        ("newer/plackett-index.json", b"{\"kind\": \"plackett-index\", \"format_version\": 99}"),
        ("damaged/plackett-index.json", b"{\"kind\""),
        ("half.unfinished/plackett-unfinished", b""),
        ("taken.unfinished/file", b"something"),
        (
            "again.jsonl",
            b"{\"query\": {\"qid\": \"q\", \"text\": \"a\"}, \"candidates\": [\"b\"]}\n{\"query\": {\"qid\": \"q\", \
              \"text\": \"c\"}, \"candidates\": [\"d\"]}\n",
        ),
        ("silent.jsonl", b"{\"query\": {\"qid\": \"q\", \"text\": \" \"}, \"candidates\": [\"b\"]}\n"),
        ("notab.tsv", b"words without tab\n"),
        ("bad.jsonl", b"{\"query\": 1}\n"),
        ("cut.parquet.gz", &gzip_start),
        ("version.json", br#"{"plackett_golden":7,"made_by":"","kind":"embeddings","cases":[]}"#),
        (
            "field.json",
            b"{\"plackett_golden\":1,\"made_by\":\"\",\"kind\":\"embeddings\",\n\"cases\":[{\"vectr\":[1]}]}",
        ),
        (
            "vector.json",
            br#"{"plackett_golden":1,"made_by":"","kind":"embeddings","cases":[{"text":"a","vector":[1]}]}"#,
        ),
        ("gap.txt", b"one\n\ntwo\n"),
        ("fake.gguf", b"no weights at all, but enough of them"),
        ("other.run", b"q Q0 b 1 2 o\nq Q0 a 2 1 o\n"),
        ("five.qrels", b"q1 0 chapter 2 1\n"),
        ("four.tsv", b"query-id\tcorpus-id\tscore\nq\ta\t1\nq 1\ta\t1\n"),
        ("seven.run", b"q Q0 a b 1 2.5 t\n"),
        ("marco.run", b"q\ta\t1\nq\tb c\t2\n"),
        ("comment.run", b"# made by hand\nq Q0 a 1 2.5 t\n"),
        ("note.run", b"#note\nq Q0 a 1 2.5 t\n"),
        ("note.qrels", b"#note\nq 0 a 1\n"),
        ("tabs.tsv", b"1\tone\n2\ttwo\tthree\n"),
        ("q.csv", b"id,text\n1,one\n"),
        ("q.tsv", b"q\twords\n"),
        ("q.xml", b"<topics>\n<topic number=\"1\"><query>one</query></topic>\n</topics>\n"),
        ("noqid.jsonl", b"{\"words\": \"one\"}\n"),
        ("open.csv", b"id,text\n1,\"never closed\n2,two\n"),
        ("stray.csv", b"id,text\n1,\"he said \"so\" to me\"\n"),
        ("same.csv", b"id,text,text\n1,a,b\n"),
        ("same.jsonl", b"{\"_id\": \"1\", \"text\": \"a\", \"text\": \"b\"}\n"),
        ("good.csv", b"id,title,text\na,a title,some words\n"),
        ("matter.md", b"---\ntitle: one\ntitle: two\n---\nSome words.\n"),
        ("array.json", b"[\n{\"_id\": \"a\", \"text\": \"x\"},\n{\"_id\": \"b\", \"text\": [1]}\n]\n"),
        ("columns.tsv", b"1\tone\ttwo\tthree\n"),
        ("page.dat", b"<!DOCTYPE html>\n<p>words</p>\n"),
        ("words.txt", b"Some words.\nMore words.\n"),
        ("page.html", b"<!DOCTYPE html>\n<!-- never closed <p>words</p>\n"),
        ("table.dat", b"id,text\n1,one\n"),
        ("pretty.json", b"{\n  \"_id\": \"1\",\n  \"text\": \"a\"\n}\n"),
        ("paper.pdf", b"%PDF-1.7\n%words"),
        ("pdfs/fake.txt", b"%PDF-1.7\n%words"),
        ("corpus.zip", b"PK\x03\x04 and more"),
        ("utf16.txt", b"\xff\xfeq\0 \x000\0 \0a\0"),
        ("tables/d.jsonl", b"{\"_id\": \"1\", \"text\": \"a\"}\n"),
        ("badid.jsonl", b"{\"query\": \"a\", \"candidates\": [{\"docid\": [1], \"text\": \"b\"}]}\n"),
        ("requests.jsonl", b"{\"query\": \"a\", \"candidates\": [\"b\"]}\n"),
        ("weight.tsv", b"query-id\tcorpus-id\tscore\tweight\nq\ta\t1\t5\n"),
        ("grade.qrels", b"q 0 12\n"),
        ("order.tsv", b"corpus-id\tquery-id\tscore\na\tq\t1\n"),
        ("commas.csv", b"query-id,corpus-id,score\nq,a,1\n"),
        ("huge.qrels", b"q 0 a 99999999999\n"),
        ("part.json", b"{\"q\": {\"a\": 1.7}}\n"),
        ("text.json", b"{\"q\": {\"a\": \"high\"}}\n"),
        ("list.json", b"{\"q\": [1]}\n"),
        ("remarks.run", b"# nothing found\n"),
        ("more.qrels", b"q 0 a 1\nr 0 a 1\n"),
        ("texts/one.txt", b"some words\n"),
        ("void.csv", b"id,text\n,words\n"),
        ("truth.jsonl", b"{\"_id\": true, \"text\": \"words\"}\n"),
        ("words.jsonl", b"{\"_id\": 1, \"text\": [\"words\"]}\n"),
        ("titles.jsonl", b"{\"query\": \"a\", \"candidates\": [{\"text\": \"b\", \"title\": [\"c\"]}]}\n"),
        ("two.topics", b"<top>\n<num> 1\n<title> a\n<num> 2\n<title> b\n</top>\n"),
        ("junk.topics", b"<top>\n<num> 1\n<title> a\n</top>\nlost words\n<top>\n<num> 2\n<title> b\n</top>\n"),
        ("good.votes", b"{\"model_a\": \"x\", \"model_b\": \"y\", \"winner\": \"model_a\"}\n"),
        (
            "nowinner.votes",
            b"{\"model_a\": \"x\", \"model_b\": \"y\", \"winner\": \"tie\"}\n{\"model_a\": \"x\", \"model_b\": \"y\"}\n",
        ),
        ("word.votes", b"{\"model_a\": \"x\", \"model_b\": \"y\", \"winner\": \"perhaps\"}\n"),
        ("itself.votes", b"{\"model_a\": \"x\", \"model_b\": \"x\", \"winner\": \"tie\"}\n"),
        ("label.answers", b"{\"answer\": \"[[A>B]]\", \"label\": \"good\"}\n"),
        ("zero.models", b"{\"model\": \"x\", \"weight\": 0}\n"),
        ("rival.models", b"{\"model\": \"x\", \"rivals\": [\"z\"]}\n"),
        (
            "good.route",
            b"{\"format\": \"plackett-route/1\", \"policy\": \"greedy\", \"dimension\": 2, \"seed\": 1, \"arms\": [\"a\", \"b\"]}\n",
        ),
        (
            "lack.rewards",
            b"{\"context\": [1], \"rewards\": {\"a\": 1, \"b\": 0}}\n{\"context\": [1], \"rewards\": {\"a\": 1}}\n",
        ),
        ("good.events", b"user\titem\trating\ttimestamp\nu\ta\t5\t1\nu\tb\t3\t2\nv\tb\t1\t7\nw\tcc\t1\t7\n"),
        ("word.events", b"user\titem\trating\ttimestamp\nu\ta\tfive\t1\n"),
        ("short.events", b"user\titem\nu\n"),
        ("once.events", b"u\ta\t5\t1\nv\tb\t5\t1\n"),
        ("noquery.jsonl", b"{\"query\": {\"qid\": \"q\", \"text\": \" \"}, \"candidates\": [\"b\"]}\n"),
    ] {
        write(folder, name, content);
    }
    let papers = "title = \"t\"\n\n[stage.judged]\nkind = \"data\"\ncollection = \"papers\"\n";
    let rank = format!("{papers}list = \"judged\"\n\n[stage.ranked]\nkind = \"rank\"\n");
    let quality =
        format!("{papers}list = \"judged\"\n\n[stage.quality]\nkind = \"evaluate\"\ndata = \"judged\"\n");
    let claim = format!("{quality}runs = [\"judged\"]\nmeasures = [\"nDCG@10\"]\n[claim.c]\ntext = \"c\"\n")
        .replacen("\n\n[stage.quality]", "\n[stage.quality]", 1)
        .replacen("title = \"t\"\n\n", "title = \"t\"\n", 1);
    let circle = "title = \"t\"\n\n[stage.a]\nkind = \"rank\"\ncandidates = \"b\"\npipeline = \"bi-encoder\"\n\
                  [stage.b]\nkind = \"rank\"\ncandidates = \"a\"\npipeline = \"bi-encoder\"\n";
    let simulated =
        "title = \"t\"\n\n[stage.s]\nkind = \"simulate\"\nsimulation = \"window\"\nschedule = \"full\"\n";
    for (name, content) in [
        ("circle.toml", circle.to_string()),
        ("key.toml", papers.replace("collection", "colection")),
        ("kind.toml", papers.replace("\"data\"", "\"retreive\"")),
        ("method.toml", format!("{rank}pipeline = \"late-interacton\"\ncandidates = \"judged\"\n")),
        ("pipeline.toml", format!("{rank}pipeline = \"bi-encoder >>\"\ncandidates = \"judged\"\n")),
        ("claim.toml", format!("{claim}kind = \"equal\"\nof = \"qualty/judged/nDCG@10\"\nvalue = 1\n")),
        ("number.toml", format!("{claim}kind = \"equal\"\nof = \"quality/judged/nDCG@5\"\nvalue = 1\n")),
        ("bound.toml", format!("{claim}kind = \"within\"\nof = \"quality/judged/nDCG@10\"\n")),
        ("twice.toml", "title = \"t\"\n\n[stage.a]\nkind = \"data\"\n[stage.a]\nkind = \"data\"\n".into()),
        (
            "place.toml",
            format!("{papers}[stage.found]\nkind = \"retrieve\"\nindex = \"judged\"\npipeline = \"bm25\"\n"),
        ),
        ("range.toml", format!("{papers}queries = -3\n")),
        ("lack.toml", papers.replace("collection = \"papers\"\n", "")),
        ("broken.toml", "title = t\n".into()),
        ("empty.toml", "title = \"t\"\n".into()),
        ("simulation.toml", simulated.to_string()),
        (
            "measure.toml",
            format!("{quality}runs = [\"judged\"]\nmeasures = [\"nDGC@10\"]\n").replacen(
                "\n\n[stage.q",
                "\n[stage.q",
                1,
            ),
        ),
        ("data.toml", papers.replace("\"papers\"", "\"no-such-set\"")),
        ("list.toml", format!("{papers}list = \"bm52\"\n")),
    ] {
        write(folder, name, content);
    }
    write(folder, "long.run", "x".repeat(10 << 20));
    let long = "many words ".repeat(2000);
    let request =
        serde_json::json!({"query": {"qid": "q", "text": "a"}, "candidates": [{"docid": "d", "text": long}]});
    write(folder, "long.jsonl", format!("{request}\n"));
    let query = "many words ".repeat(2000);
    let request = serde_json::json!({"query": {"qid": "q", "text": query}, "candidates": [{"docid": "d", "text": "a"}]});
    write(folder, "longquery.jsonl", format!("{request}\n"));
    plackett(folder, &["index", "good.jsonl", "-o", "good.index", "--no-vectors"]).expect(0);
    plackett(folder, &["index", "meta.jsonl", "-o", "meta.index", "--no-vectors"]).expect(0);
    write(folder, "wordless.jsonl", "{\"id\": \"a\", \"text\": \"?!\"}\n");
    plackett(folder, &["index", "wordless.jsonl", "-o", "wordless.index", "--no-vectors"]).expect(0);
    plackett(folder, &["index", "good.csv", "-o", "synced.index", "--no-vectors", "--sync"]).expect(0);
    write(folder, "words.csv", format!("id,text\nmany,{}\n", "word ".repeat(100_001)));
    write(folder, "passage.csv", "id,text\npage#12,words\n");
    let chunked = ["index", "good.jsonl", "-o", "chunked.index", "--no-vectors", "--chunk", "200/50"];
    plackett(folder, &chunked).expect(0);
    model(folder, "good.model", "", |b| b);
    let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder/llama");
    for own in ["config.json", "tokenizer.json", "model.safetensors"] {
        write(folder, &format!("tiny.decoder/{own}"), fs::read(decoder.join(own)).unwrap());
    }
    let embedder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder/embedder");
    for own in ["config.json", "tokenizer.json", "model.safetensors", "modules.json"] {
        write(folder, &format!("tiny.embedder/{own}"), fs::read(embedder.join(own)).unwrap());
    }
    for own in ["config.json", "tokenizer.json", "model.safetensors"] {
        write(folder, &format!("cross.model/{own}"), fs::read(parity("bert-cross").join(own)).unwrap());
    }
    model(folder, "swapped.model", "", |b| b);
    for (index, model) in [("vectors.index", "good.model"), ("swapped.index", "swapped.model")] {
        plackett(folder, &["index", "good.jsonl", "-o", index, "--model", model]).expect(0);
    }
    // Another weight under the same name.
    model(folder, "swapped.model", "model.safetensors", |b| {
        [&b[..b.len() - 1], &[b[b.len() - 1] ^ 1]].concat()
    });
    let lying = |b: Vec<u8>| [&u64::MAX.to_le_bytes()[..], &b[8..]].concat();
    model(folder, "lying.model", "model.safetensors", lying);
    model(folder, "cut.model", "model.safetensors", |b| b[..b.len() - 10].to_vec());
    model(folder, "renamed.model", "model.safetensors", |b| {
        replaced(b, "encoder.layer.0.output", "encoder.layer.9.output")
    });
    let text =
        |b: Vec<u8>, from: &str, to: &str| String::from_utf8(b).unwrap().replace(from, to).into_bytes();
    model(folder, "poem.model", "config.json", |b| {
        text(b, "\"model_type\": \"bert\"", "\"model_type\": \"poem\"")
    });
    model(folder, "broken.model", "config.json", |b| b[..20].to_vec());
    model(folder, "wide.model", "config.json", |b| {
        let mut config: serde_json::Value = serde_json::from_slice(&b).unwrap();
        config["intermediate_size"] = 7.into();
        serde_json::to_vec(&config).unwrap()
    });
    model(folder, "mixed.model", "tokenizer.json", |_| {
        fs::read(parity("roberta").join("tokenizer.json")).unwrap()
    });
}

#[test]
fn every_bad_input_ends_with_a_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut page = String::from(
        "# Bad inputs\n\nWhat the command says to inputs it cannot use. Exit code 2 in every row. The table is made and \
         checked by\n`crates/plackett/tests/it/bad_inputs.rs`.\n\n| input | command | message |\n| --- | --- | --- |\n",
    );
    let mut faults = Vec::new();
    for (what, line, pieces) in ROWS {
        let arguments: Vec<&str> = line.split(' ').collect();
        let cache = folder.path().join("cache");
        let mut command = common::command(folder.path(), &arguments);
        let done: common::Done = command
            .env("PLACKETT_CACHE", &cache)
            .env("HF_HUB_CACHE", &cache)
            .env_remove("PLACKETT_DATA")
            .output()
            .unwrap()
            .into();
        // Our own sentence comes after warnings, and before a line of the input with what is meant underlined; the one
        // about a flag comes before how to get help.
        let mut lines = done.stderr.trim().lines();
        let begins = |line: &&str| line.starts_with("error: ") || line.starts_with("plackett: ");
        let message = lines.clone().rfind(begins).or(lines.next_back());
        let message = message.unwrap_or_default().to_string();
        let missing: Vec<_> = pieces.iter().filter(|piece| !done.stderr.contains(**piece)).collect();
        if done.code != 2 || done.stderr.contains("panicked") || !missing.is_empty() {
            faults.push(format!(
                "{what}: `{line}` ended with {} and lacks {missing:?}:\n{}",
                done.code, done.stderr
            ));
        }
        let mut shown = message.replace(&*folder.path().to_string_lossy(), "…").replace('|', "\\|");
        let line = line.replace('\t', "⇥").replace('\u{200b}', "⟨U+200B⟩");
        if let Some(at) = shown.find("/.tmp") {
            // The name of a temporary file is drawn anew each time.
            shown.replace_range(at + 5..at + 11, "…");
        }
        page.push_str(&format!("| {what} | `plackett {line}` | {shown} |\n"));
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), ROWS.len(), faults.join("\n"));
    if !cfg!(feature = "pdf") {
        // The page is that of the program with it, which says another thing of a PDF.
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bad-inputs.md");
    if std::env::var_os("PLACKETT_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    assert!(recorded == page, "docs/bad-inputs.md is not this table; run this test with PLACKETT_BLESS=1");
}

#[test]
fn a_closed_pipe_is_success() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let program = env!("CARGO_BIN_EXE_plackett");
    let status = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &format!("{{ '{program}' eval --list-measures; echo $? >&2; }} | head -c 1")])
        .output()
        .unwrap();
    let code = String::from_utf8_lossy(&status.stderr);
    assert_eq!(code.trim(), "0", "{code}");
}
