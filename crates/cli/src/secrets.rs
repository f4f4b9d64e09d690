//! The secrets that `--redact-env`, `--redact-file` and `--redact` name.
//!
//! A variable can have two values: the one `-e` gives the command, and the caller's. Both are secrets then, since either may turn
//! up in output. The trap is a secret that is not there: a variable that is not set is only warned of, because nothing can leak,
//! but a file that cannot be read stops the run, because something could.

use crate::args::SecretArgs;
use crate::failure::Failure;
use crate::message::{self, Level};
use ringfence::Secret;
use ringfence::config::Environment;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// All secrets the arguments name, with names for warnings.
pub(crate) fn collect(
    args: &SecretArgs,
    variables: &[(OsString, Option<OsString>)],
    environment: &Environment,
    level: Level,
) -> Result<Vec<Secret>, Failure> {
    let mut secrets = Vec::new();
    for name in &args.redact_env {
        let values = values_of(name, variables, environment);
        if values.is_empty() {
            message::warning(
                level,
                &format!("--redact-env {}: the variable is not set", name.display()),
            );
        }
        secrets.extend(
            values
                .into_iter()
                .map(|value| Secret::named(name.display().to_string(), value.as_bytes())),
        );
    }
    for path in &args.redact_file {
        secrets.extend(lines_of(path)?);
    }
    for (index, text) in args.redact.iter().enumerate() {
        let name = match args.redact.len() {
            1 => "--redact".to_owned(),
            _ => format!("--redact number {}", index + 1),
        };
        secrets.push(Secret::named(name, text.as_bytes()));
    }
    Ok(secrets)
}

fn values_of<'a>(
    name: &OsStr,
    variables: &'a [(OsString, Option<OsString>)],
    environment: &'a Environment,
) -> Vec<&'a OsStr> {
    let set =
        variables.iter().filter(|(key, _)| key == name).filter_map(|(_, value)| value.as_deref());
    set.chain(environment.get(name)).collect()
}

fn lines_of(path: &Path) -> Result<Vec<Secret>, Failure> {
    let open = |source| Failure::Open { flag: "--redact-file", path: path.to_owned(), source };
    let content = fs::read(path).map_err(open)?;
    let lines = content.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.map(|(index, line)| (index, line.strip_suffix(b"\r").unwrap_or(line)));
    let filled = lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace));
    Ok(filled
        .map(|(index, line)| Secret::named(format!("{}:{}", path.display(), index + 1), line))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(secrets: &[Secret]) -> Vec<(&str, &[u8])> {
        secrets.iter().map(|secret| (secret.name().unwrap_or_default(), secret.expose())).collect()
    }

    #[test]
    fn a_variable_has_the_callers_value_and_the_given_one() {
        let environment = Environment::new([("TOKEN", "theirs"), ("OTHER", "x")], "/");
        let variables = [("TOKEN".into(), Some("ours".into())), ("OTHER".into(), None)];
        let redact_env = vec!["TOKEN".into(), "OTHER".into(), "UNSET".into()];
        let args = SecretArgs { redact_env, redact_file: vec![], redact: vec!["lit".into()] };
        let secrets =
            collect(&args, &variables, &environment, Level::Quiet).expect("nothing can fail");
        let expect: [(&str, &[u8]); 4] =
            [("TOKEN", b"ours"), ("TOKEN", b"theirs"), ("OTHER", b"x"), ("--redact", b"lit")];
        assert_eq!(exposed(&secrets), expect);
    }

    #[test]
    fn each_filled_line_of_a_file_is_one() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), b"one\r\n\n  \ntwo\xff").expect("it can be written");
        let secrets = lines_of(file.path()).expect("it can be read");
        let values: Vec<&[u8]> = secrets.iter().map(Secret::expose).collect();
        assert_eq!(values, [b"one".as_slice(), b"two\xff"]);
        assert!(secrets[1].name().is_some_and(|name| name.ends_with(":4")));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_failure() {
        let failure = lines_of(Path::new("/nowhere/at/all")).expect_err("it is not there");
        assert_eq!(failure.to_string(), "--redact-file /nowhere/at/all: failed to open the file");
    }
}
