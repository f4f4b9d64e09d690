//! Programs that run the program in their arguments: `sudo`, `env`, `xargs`, `sh -c '…'`, `find … -exec`.
//!
//! What is inside is looked at as a command of its own, beside the wrapper, so that a rule on either is found. The tables hold
//! only what decides where the inner command begins: which options take a value, and how many operands come first.

use super::parser::{is_assignment, parse};
use super::{Analysis, Command, Known, MAX_DEPTH, ShellError, Word};
use crate::rules::base_name;

/// How a wrapper's own arguments end.
struct Wrapper {
    names: &'static [&'static str],
    /// Short options that take a value.
    short: &'static str,
    /// Long options that take a value in the next word.
    long: &'static [&'static str],
    /// Operands before the command.
    operands: usize,
}

const fn plain(names: &'static [&'static str]) -> Wrapper {
    Wrapper { names, short: "", long: &[], operands: 0 }
}

const WRAPPERS: &[Wrapper] = &[
    plain(&[
        "nohup",
        "setsid",
        "builtin",
        "command",
        "busybox",
        "toybox",
        "noglob",
        "nocorrect",
        "unbuffer",
        "chronic",
    ]),
    Wrapper { names: &["env"], short: "uCPS", long: &["--unset", "--chdir"], operands: 0 },
    Wrapper {
        names: &["sudo"],
        short: "ugphCDRTrtU",
        long: &[
            "--user",
            "--group",
            "--prompt",
            "--host",
            "--chdir",
            "--chroot",
            "--close-from",
            "--role",
            "--type",
        ],
        operands: 0,
    },
    Wrapper { names: &["doas"], short: "uC", long: &[], operands: 0 },
    Wrapper { names: &["nice"], short: "n", long: &["--adjustment"], operands: 0 },
    Wrapper { names: &["ionice"], short: "cnpPu", long: &["--class", "--classdata"], operands: 0 },
    Wrapper { names: &["exec"], short: "a", long: &[], operands: 0 },
    Wrapper { names: &["time"], short: "fo", long: &["--format", "--output"], operands: 0 },
    Wrapper { names: &["timeout"], short: "ks", long: &["--kill-after", "--signal"], operands: 1 },
    Wrapper {
        names: &["stdbuf"],
        short: "ioe",
        long: &["--input", "--output", "--error"],
        operands: 0,
    },
    Wrapper {
        names: &["xargs"],
        short: "IEnPLsda",
        long: &[
            "--arg-file",
            "--delimiter",
            "--max-args",
            "--max-chars",
            "--max-procs",
            "--process-slot-var",
        ],
        operands: 0,
    },
    Wrapper {
        names: &["strace", "ltrace"],
        short: "eopsaEuIOPSXbnl",
        long: &["--trace", "--output"],
        operands: 0,
    },
    Wrapper { names: &["chroot"], short: "", long: &[], operands: 1 },
    Wrapper { names: &["taskset", "chrt"], short: "", long: &[], operands: 1 },
    Wrapper {
        names: &["flock"],
        short: "wEc",
        long: &["--timeout", "--conflict-exit-code"],
        operands: 1,
    },
    Wrapper { names: &["unshare", "setpriv"], short: "SGRw", long: &[], operands: 0 },
    Wrapper {
        names: &["nsenter"],
        short: "tSGW",
        long: &["--target", "--setuid", "--setgid"],
        operands: 0,
    },
    Wrapper { names: &["watch"], short: "nq", long: &["--interval", "--equexit"], operands: 0 },
];

const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "oksh", "yash", "fish", "rbash"];

/// Programs with a `-c` that takes a command line, but which are no shells.
const SPAWNERS: &[&str] = &["su", "runuser", "script", "flock"];

/// Takes a text apart and looks into each of its commands.
pub(super) fn look_into_line(
    line: &[u8],
    depth: usize,
    steps: &mut usize,
    found: &mut Analysis,
) -> Result<(), ShellError> {
    let mut commands = Vec::new();
    parse(line, depth, steps, &mut commands)?;
    commands.into_iter().try_for_each(|command| look_into(command, depth, steps, found))
}

/// Notes a command and whatever it runs in turn.
pub(super) fn look_into(
    command: Command,
    depth: usize,
    steps: &mut usize,
    found: &mut Analysis,
) -> Result<(), ShellError> {
    *steps = steps.checked_sub(1 + command.words.len()).ok_or(ShellError::TooDeep)?;
    if depth >= MAX_DEPTH {
        return Err(ShellError::TooDeep);
    }
    let Some(program) = command.program() else {
        found.doubtful = true;
        found.commands.push(command);
        return Ok(());
    };
    let name = String::from_utf8_lossy(base_name(program)).into_owned();
    let inner = inner_of(&name, &command);
    found.commands.push(command);
    for part in inner {
        match part {
            Inner::Words(words) if words.is_empty() => {}
            Inner::Words(words) => {
                look_into(Command { words, input: Vec::new() }, depth + 1, steps, found)?
            }
            Inner::Line(word) if word.known == Known::Unknown => found.doubtful = true,
            Inner::Line(word) => look_into_line(&word.bytes, depth + 1, steps, found)?,
            Inner::Unknown => found.doubtful = true,
        }
    }
    Ok(())
}

/// What a program runs.
enum Inner {
    Words(Vec<Word>),
    Line(Word),
    Unknown,
}

fn inner_of(name: &str, command: &Command) -> Vec<Inner> {
    let args = &command.words[1..];
    if SHELLS.contains(&name) {
        return vec![inside_shell(command)];
    }
    let mut inner = Vec::new();
    if SPAWNERS.contains(&name) {
        inner.extend(value_of(args, "-c", "--command").map(Inner::Line));
    }
    match name {
        "eval" => inner.push(Inner::Line(joined(args))),
        "trap" => inner.extend(
            args.iter().find(|word| !word.bytes.starts_with(b"-")).cloned().map(Inner::Line),
        ),
        "alias" if !args.is_empty() => inner.push(Inner::Unknown),
        "find" | "fd" => inner.extend(exec_parts(args).map(Inner::Words)),
        "gdb" | "lldb" => {
            let marks = ["--args", "--"];
            let after =
                args.iter().position(|word| marks.iter().any(|mark| word.bytes == mark.as_bytes()));
            inner.extend(after.map(|at| Inner::Words(args[at + 1..].to_vec())));
        }
        "env" => inner.extend(value_of(args, "-S", "--split-string").map(Inner::Line)),
        _ => {}
    }
    let is_query = matches!(name, "command" | "builtin")
        && args.first().is_some_and(|word| is_query(&word.bytes));
    if let Some(wrapper) =
        WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name) && !is_query)
    {
        inner.push(Inner::Words(args[wrapper.command_at(args)..].to_vec()));
    }
    inner
}

/// `command -v git` only asks.
fn is_query(word: &[u8]) -> bool {
    word.first() == Some(&b'-') && (word.contains(&b'v') || word.contains(&b'V'))
}

impl Wrapper {
    /// Where the inner command begins.
    fn command_at(&self, args: &[Word]) -> usize {
        let mut at = 0;
        let mut operands = self.operands;
        let mut options = true;
        while let Some(word) = args.get(at) {
            let bytes = word.bytes.as_slice();
            if word.known == Known::Unknown && operands == 0 {
                break;
            } else if options && bytes == b"--" {
                options = false;
            } else if options && bytes.first() == Some(&b'-') && bytes.len() > 1 {
                at += usize::from(self.takes_next(bytes));
            } else if is_assignment(bytes) {
                // `env A=b cmd`, `sudo A=b cmd`: an assignment is no program anywhere.
            } else if operands > 0 {
                operands -= 1;
            } else {
                break;
            }
            at += 1;
        }
        at.min(args.len())
    }

    /// Whether the value of this option is the next word.
    fn takes_next(&self, option: &[u8]) -> bool {
        if option.starts_with(b"--") {
            return self.long.iter().any(|long| long.as_bytes() == option);
        }
        let value_option = option[1..].iter().position(|byte| self.short.as_bytes().contains(byte));
        value_option.is_some_and(|at| at + 2 == option.len())
    }
}

/// The line a shell is given: after `-c`, or on its input.
fn inside_shell(command: &Command) -> Inner {
    let mut args = command.words[1..].iter();
    let mut wants_line = false;
    while let Some(word) = args.next() {
        let bytes = word.bytes.as_slice();
        let is_option = matches!(bytes.first(), Some(b'-' | b'+')) && word.known == Known::Fully;
        if !is_option {
            return match (wants_line, word.known) {
                (true, _) => Inner::Line(word.clone()),
                (false, Known::Unknown) => Inner::Unknown,
                (false, _) => Inner::Words(Vec::new()),
            };
        }
        if bytes == b"--command" {
            wants_line = true;
        } else if let Some(line) = bytes.strip_prefix(b"--command=") {
            return Inner::Line(Word::literal(line));
        } else if matches!(bytes, b"--rcfile" | b"--init-file" | b"--init-command")
            || is_set_option(bytes)
        {
            args.next();
        } else if !bytes.starts_with(b"--") && bytes.contains(&b'c') {
            wants_line = true;
        }
    }
    match command.input.first() {
        Some(input) => Inner::Line(input.clone()),
        None => Inner::Unknown,
    }
}

/// `-o NAME`, `+O NAME`, alone or at the end of a cluster without `c`.
fn is_set_option(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"--") && matches!(bytes.last(), Some(b'o' | b'O')) && !bytes.contains(&b'c')
}

/// The value of an option that is given as `-cVALUE`, `-c VALUE`, `--long=VALUE` or `--long VALUE`.
fn value_of(args: &[Word], short: &str, long: &str) -> Option<Word> {
    for (at, word) in args.iter().enumerate() {
        let bytes = word.bytes.as_slice();
        if bytes == short.as_bytes() || bytes == long.as_bytes() {
            return args.get(at + 1).cloned();
        }
        let attached = bytes.strip_prefix(long.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if let Some(value) = attached.or_else(|| bytes.strip_prefix(short.as_bytes())) {
            return Some(Word { bytes: value.to_vec(), ..word.clone() });
        }
    }
    None
}

/// All arguments as one line, as `eval` joins them.
fn joined(args: &[Word]) -> Word {
    let bytes = args.iter().map(|word| word.bytes.as_slice()).collect::<Vec<_>>().join(&b' ');
    let known = args.iter().map(|word| word.known).max().unwrap_or(Known::Fully);
    Word { source: bytes.clone(), bytes, known, plain: false }
}

/// The commands of `-exec … ;` and its kin.
fn exec_parts(args: &[Word]) -> impl Iterator<Item = Vec<Word>> {
    let starts: &[&[u8]] =
        &[b"-exec", b"-execdir", b"-ok", b"-okdir", b"-x", b"-X", b"--exec", b"--exec-batch"];
    let ends = [&[b";".as_slice(), b"+"], starts].concat();
    args.iter().enumerate().filter(|(_, word)| starts.contains(&word.bytes.as_slice())).map(
        move |(at, _)| {
            args[at + 1..]
                .iter()
                .take_while(|word| !ends.contains(&word.bytes.as_slice()))
                .cloned()
                .collect()
        },
    )
}
