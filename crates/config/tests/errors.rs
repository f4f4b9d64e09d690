//! What is wrong with a config is said with its place, its field, and what was probably meant.

use ringfence_config::{Config, ConfigError, Environment, Overrides};
use std::path::Path;

fn load(text: &str) -> Result<(), ConfigError> {
    let config = Config::from_str(text, Path::new("ringfence.toml"))?;
    let environment = Environment::new([("HOME", "/home/u")], "/work");
    for profile in config.profile_names() {
        config.resolve(Some(profile), &Overrides::default(), Path::new("."), &environment)?;
    }
    Ok(())
}

/// `hint` is looked for in the advice; empty means that there is none.
fn check(text: &str, expect: &str, hint: &str) {
    let error = load(text).expect_err(text);
    assert_eq!(error.to_string(), expect, "{text}");
    match error.hint() {
        Some(advice) => assert!(!hint.is_empty() && advice.contains(hint), "{text}: {advice}"),
        None => assert_eq!(hint, "", "{text}"),
    }
}

#[test]
fn unknown_names_have_a_nearest() {
    check(
        "[runner]\nshel = \"/bin/sh\"",
        "ringfence.toml:2:1: runner.shel: unknown field `shel`",
        "did you mean `shell`?",
    );
    check(
        "[profiles.build]\nmode = \"sandbox\"\n  fs_mod = \"inherit\"",
        "ringfence.toml:3:3: profiles.build.fs_mod: unknown field `fs_mod`",
        "did you mean `fs_mode`?",
    );
    check("[runer]", "ringfence.toml:1:2: runer: unknown field `runer`", "did you mean `runner`?");
    check("qqq = 1", "ringfence.toml:1:1: qqq: unknown field `qqq`", "known are runner, profiles");
    check(
        "[profiles.build]\nfs_mode = \"workspace_ro\"",
        "ringfence.toml:2:11: profiles.build.fs_mode: unknown value `workspace_ro`",
        "did you mean `workspace_readonly`?",
    );
    check(
        "[profiles.a]\nunix_sockets = \"privat\"",
        "ringfence.toml:2:16: profiles.a.unix_sockets: unknown value `privat`",
        "did you mean `private`?",
    );
    check(
        "[runner.redaction]\nencodings = [\"hex\", \"base46\"]",
        "ringfence.toml:2:21: runner.redaction.encodings[2]: unknown value `base46`",
        "did you mean `base64`?",
    );
    check(
        "[runner.redaction]\ndetectors = [\"git_hub\"]",
        "ringfence.toml:2:14: runner.redaction.detectors: unknown value `git_hub`",
        "did you mean `github`?",
    );
    check(
        "[profiles.a]\ninherits = \"bild\"\n[profiles.build]",
        "ringfence.toml:2:12: profiles.a.inherits: there is no profile `bild`",
        "did you mean `build`?",
    );
    check(
        "[runner]\ndefault_profile = \"x\"",
        "ringfence.toml:2:19: runner.default_profile: there is no profile `x`",
        "known are default",
    );
    check(
        "[[runner.rules]]\neffect = \"deny\"\nprogram = \"git\"\nargz = []",
        "ringfence.toml:4:1: runner.rules[1].argz: unknown field `argz`",
        "did you mean `args`?",
    );
}

#[test]
fn syntax_and_kinds() {
    let error = load("[runner\n").expect_err("a bracket is open");
    assert!(error.to_string().starts_with("ringfence.toml:1:8: not valid TOML: "), "{error}");
    let error = load("[runner]\nshell = \"/a\"\nshell = \"/b\"").expect_err("a key is there twice");
    assert!(
        error.to_string().starts_with("ringfence.toml:3:1: not valid TOML: duplicate key"),
        "{error}"
    );
    check(
        "[profiles.a]\nmax_memory_mb = \"2G\"",
        "ringfence.toml:2:17: profiles.a.max_memory_mb: invalid type: string \"2G\", expected a whole number",
        "",
    );
    check(
        "[profiles.a]\nmax_processes = -1",
        "ringfence.toml:2:17: profiles.a.max_processes: invalid value: integer `-1`, expected a whole number",
        "",
    );
    check(
        "[runner]\nallowed_shells = \"/bin/sh\"",
        "ringfence.toml:2:18: runner.allowed_shells: invalid type: string \"/bin/sh\", expected a list",
        "",
    );
    check(
        "[[runner.rules]]\neffect = \"deny\"",
        "ringfence.toml:1:1: runner.rules[1]: missing field `program`",
        "",
    );
}

#[test]
fn values_without_meaning() {
    check(
        "[profiles.a]\nmax_open_files = 0",
        "ringfence.toml:2:18: profiles.a.max_open_files: 0 is out of range",
        "write a number from 1 to",
    );
    check(
        "[profiles.a]\nmax_memory_mb = 9000000000000000000",
        "ringfence.toml:2:17: profiles.a.max_memory_mb: 9000000000000000000 is out of range",
        "17592186044415",
    );
    check(
        "[runner]\nshell = \"bash\"",
        "ringfence.toml:2:9: runner.shell: `bash` is not an absolute path",
        "write the path out",
    );
    check(
        "[runner]\nenv_allowlist = [\"A\", \"\"]",
        "ringfence.toml:2:23: runner.env_allowlist: it is empty",
        "",
    );
    check(
        "[[runner.detectors]]\nname = \"x\"\nregex = \"a(\"",
        "ringfence.toml:3:9: runner.detectors.regex: the regular expression does not compile: unclosed group",
        "",
    );
    check(
        "[[runner.detectors]]\nname = \"x\"\nregex = '\\p{Greek}+'",
        "ringfence.toml:3:9: runner.detectors.regex: the regular expression does not compile: Unicode not allowed here",
        "classes are ASCII",
    );
    check(
        "[[runner.detectors]]\nname = \"x\"\nregex = \"a*\"",
        "ringfence.toml:3:9: runner.detectors.regex: the regular expression matches the empty text",
        "`+`",
    );
    check(
        "[[runner.rules]]\neffect = \"deny\"\nprogram = \"\"",
        "ringfence.toml:3:11: runner.rules.program: it is empty",
        "",
    );
    check(
        "[profiles.a]\nexpose = [\"8080\", \"80:0\"]",
        "ringfence.toml:2:19: profiles.a.expose: `80:0` is no port",
        "write a number from 1 to 65535, or two as \"OUTSIDE:INSIDE\"",
    );
    check(
        "[profiles.a]\nnetwork_allowlist = [\"ok.com\", \"https://x.com\"]",
        "ringfence.toml:2:32: profiles.a.network_allowlist: allowlist entry `https://x.com`: it has a URL scheme",
        "write the host alone",
    );
    check(
        "[profiles.a]\nhidden_paths = [\"$NOPE/x\"]",
        "ringfence.toml:2:17: profiles.a.hidden_paths: the variable `NOPE` in `$NOPE/x` is not set",
        "set `NOPE`",
    );
}

#[test]
fn inheritance_in_a_circle_is_printed() {
    check(
        "[profiles.a]\ninherits = \"b\"\n[profiles.b]\ninherits = \"c\"\n[profiles.c]\ninherits = \"b\"",
        "ringfence.toml:6:12: profiles.c.inherits: profiles inherit in a circle: b → c → b",
        "remove one `inherits`",
    );
    check(
        "[profiles.a]\ninherits = \"a\"",
        "ringfence.toml:2:12: profiles.a.inherits: profiles inherit in a circle: a → a",
        "remove one",
    );
    check(
        "[profiles.default]\ninherits = \"a\"\n[profiles.a]\ninherits = \"default\"",
        "ringfence.toml:2:12: profiles.default.inherits: profiles inherit in a circle: a → default → a",
        "remove one",
    );
}

#[test]
fn what_nobody_would_keep_is_refused() {
    check(
        "[profiles.a]\nmode = \"host\"\nfs_mode = \"workspace_readonly\"",
        "ringfence.toml:3:11: profiles.a.fs_mode: it has no meaning with `mode = \"host\"`",
        "use `mode = \"sandbox\"`",
    );
    check(
        "[profiles.a]\nmode = \"host\"\n[profiles.b]\ninherits = \"a\"\nnetwork_mode = \"deny\"",
        "ringfence.toml:5:16: profiles.b.network_mode: it has no meaning with `mode = \"host\"`",
        "use `mode = \"sandbox\"`",
    );
    check(
        "[profiles.a]\nmode = \"host\"\nisolation = \"strict\"",
        "ringfence.toml:3:13: profiles.a.isolation: it has no meaning with `mode = \"host\"`",
        "use `mode = \"sandbox\"`",
    );
    check(
        "[profiles.a]\nfs_mode = \"inherit\"\nhidden_paths = [\"~/x\"]",
        "ringfence.toml:3:16: profiles.a.hidden_paths: it has no meaning with `fs_mode = \"inherit\"`",
        "use another fs_mode",
    );
    check(
        "[profiles.a]\nhidden_paths = [\"~/x\"]\n[profiles.b]\ninherits = \"a\"\nfs_mode = \"inherit\"",
        "ringfence.toml:2:16: profiles.a.hidden_paths: it has no meaning with `fs_mode = \"inherit\"`",
        "make it empty",
    );
    check(
        "[profiles.a]\nfs_mode = \"inherit\"\nread_scope = \"minimal\"",
        "ringfence.toml:3:14: profiles.a.read_scope: it has no meaning with `fs_mode = \"inherit\"`",
        "use another fs_mode",
    );
}
