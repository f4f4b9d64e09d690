//! Runs redaction vectors from a JSON file and says which of them hold.
//!
//! ```text
//! cargo run -q --release -p ringfence-output-capture --example vectors -- [FILE.json]
//! ```
//!
//! Without a file it runs the few of `vectors.json` beside it.
//!
//! Each vector is run three times: with its own chunks, in one chunk, and byte by byte. One line a vector, a last line
//! with the counts; the exit status is 1 when one failed and 2 when the file cannot be read.
//!
//! The file is an array of objects: `name`, `secrets` (text), `secrets_b64` (optional), `options` (`mask`,
//! `case_insensitive`, `min_len`, `trim`, `multiline`, `encodings`, `patterns`), `chunks` and `expect` (base64, or
//! `rle:` and then `base64*count` joined by `|`), `min_emitted` (optional: the least bytes that are out after each
//! chunk, among the options or beside them), `note` (optional, for people). Anything else is an error: an option that
//! was passed over would make a vector hold that does not.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example is a program that reports to a person"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfence_output_capture::{
    Detector, Encoding, Multiline, Redaction, RedactionOptions, Secret,
};
use serde::Deserialize;
use std::error::Error;
use std::process::ExitCode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    secrets_b64: Vec<String>,
    options: Options,
    #[serde(default)]
    chunks: Vec<String>,
    expect: String,
    min_emitted: Option<Vec<usize>>,
    /// For people.
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    mask: String,
    case_insensitive: bool,
    min_len: usize,
    trim: bool,
    multiline: String,
    encodings: Vec<String>,
    patterns: Vec<String>,
    min_emitted: Option<Vec<usize>>,
    #[serde(default)]
    secrets_b64: Vec<String>,
}

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1);
    let text = match &path {
        Some(path) => std::fs::read(path),
        None => Ok(include_bytes!("vectors.json").to_vec()),
    };
    let vectors = text.map_err(Into::into).and_then(|text| Ok(serde_json::from_slice(&text)?));
    let vectors: Vec<Vector> = match vectors {
        Ok(vectors) => vectors,
        Err(error) => {
            let error: Box<dyn Error> = error;
            let path = path.unwrap_or_else(|| "vectors.json".into());
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for vector in &vectors {
        match run(vector) {
            Ok(()) => println!("ok    {}", vector.name),
            Err(why) => {
                failed += 1;
                println!("FAIL  {}: {why}", vector.name);
            }
        }
    }
    println!("{} passed, {failed} failed", vectors.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}

fn run(vector: &Vector) -> Result<(), Box<dyn Error>> {
    let chunks = vector.chunks.iter().map(|chunk| decode(chunk)).collect::<Result<Vec<_>, _>>()?;
    let expect = decode(&vector.expect)?;
    let redaction = compile(vector)?;
    let least = vector.min_emitted.as_ref().or(vector.options.min_emitted.as_ref());
    check(&redaction, chunks.iter().map(Vec::as_slice), &expect, least, "with its chunks")?;
    let whole = chunks.concat();
    check(&redaction, std::iter::once(whole.as_slice()), &expect, None, "in one chunk")?;
    check(&redaction, whole.chunks(1), &expect, None, "byte by byte")
}

fn compile(vector: &Vector) -> Result<Redaction, Box<dyn Error>> {
    let options = RedactionOptions {
        mask: vector.options.mask.clone().into_bytes(),
        case_insensitive: vector.options.case_insensitive,
        min_length: vector.options.min_len,
        trim: vector.options.trim,
        multiline: match vector.options.multiline.as_str() {
            "exact" => Multiline::Exact,
            "crlf" => Multiline::Crlf,
            "lines" => Multiline::Lines,
            other => return Err(format!("there is no multiline mode `{other}`").into()),
        },
        encodings: vector
            .options
            .encodings
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<Encoding>, _>>()?,
        detectors: vector
            .options
            .patterns
            .iter()
            .map(|name| name.parse())
            .collect::<Result<Vec<Detector>, _>>()?,
        ..RedactionOptions::default()
    };
    let mut secrets: Vec<_> =
        vector.secrets.iter().map(|text| Secret::new(text.as_str())).collect();
    for text in vector.secrets_b64.iter().chain(&vector.options.secrets_b64) {
        secrets.push(Secret::new(decode(text)?));
    }
    Ok(Redaction::compile(&secrets, &options).0)
}

fn check<'a>(
    redaction: &Redaction,
    chunks: impl Iterator<Item = &'a [u8]>,
    expect: &[u8],
    least: Option<&Vec<usize>>,
    how: &str,
) -> Result<(), Box<dyn Error>> {
    let mut stream = redaction.stream();
    let mut out = Vec::new();
    for (index, chunk) in chunks.enumerate() {
        stream.push(chunk, &mut out);
        let least = least.and_then(|least| least.get(index).copied()).unwrap_or(0);
        if out.len() < least {
            return Err(format!(
                "{how}: {} bytes are out after chunk {index}, expected {least}",
                out.len()
            )
            .into());
        }
    }
    stream.finish(&mut out);
    if out == expect {
        return Ok(());
    }
    Err(format!("{how}: got `{}`, expected `{}`", show(&out), show(expect)).into())
}

fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(300)];
    cut.escape_ascii().to_string()
}

fn decode(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let plain = |text: &str| STANDARD.decode(text).map_err(|error| format!("not base64: {error}"));
    let Some(runs) = text.strip_prefix("rle:") else {
        return Ok(plain(text)?);
    };
    let mut bytes = Vec::new();
    for run in runs.split('|').filter(|run| !run.is_empty()) {
        let (piece, count) = run.rsplit_once('*').ok_or("a run without a count")?;
        bytes.extend(plain(piece)?.repeat(count.parse()?));
    }
    Ok(bytes)
}
