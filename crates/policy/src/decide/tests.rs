//! Requests and verdicts.

use super::*;

fn deny(program: &str, args: &[&str]) -> Rule {
    let args = args.iter().map(|&word| word.to_owned()).collect();
    let origin = Some("ringfence.toml:12".to_owned());
    Rule {
        effect: Effect::Deny,
        program: program.into(),
        args,
        reason: "history is shared".into(),
        origin,
    }
}

fn allow(program: &str, args: &[&str]) -> Rule {
    Rule { effect: Effect::Allow, reason: String::new(), ..deny(program, args) }
}

fn shell_verdict(rules: &[Rule], line: &str) -> String {
    let policy = Policy { rules: rules.to_vec(), ..Policy::unrestricted(PolicyMode::Unsafe) };
    let line = CommandLine::parse(line.as_bytes()).expect("a line");
    decide(&Request::Shell { shell: "/bin/sh", shell_arg: "-c", line: &line }, &policy).to_string()
}

#[test]
fn a_verdict_carries_its_cause() {
    let rules = [deny("git", &["push", "--force"])];
    let got = shell_verdict(&rules, "cd x && git push origin --force");
    assert_eq!(
        got,
        "denied: `git push origin --force` matches rule 1 (ringfence.toml:12): history is shared"
    );
    assert_eq!(shell_verdict(&rules, "git push"), "allowed: no rule speaks about the command");
    assert_eq!(
        shell_verdict(&[allow("git", &[])], "git push"),
        "allowed: `git push` matches rule 1 (ringfence.toml:12)"
    );
}

fn force_push(line: &str, expect: &str) {
    let got = shell_verdict(&[deny("git", &["push", "--force"])], line);
    assert!(got.starts_with(expect), "{line}: {got}");
}

#[test]
fn a_denied_command_is_found_wherever_it_hides() {
    for line in [
        "git push --force",
        "/usr/bin/git -C x push -q --force",
        "true; (git push --force)",
        "echo $(git push --force)",
        "echo `git push --force`",
        "g\"it\" pu\\sh '--force'",
        "sudo -u me git push --force",
        "sh -c 'git push --force'",
        "if true; then git push --force; fi",
        "A=1 git push --force </dev/null",
        "f() { git push --force; }; f",
        "cat <(git push --force)",
        "sh <<E\ngit push --force\nE",
        "cat <<E\n$(git push --force)\nE",
        "xargs git push --force",
        "find . -exec git push --force \\;",
        "case x in x) git push --force;; esac",
    ] {
        force_push(line, "denied: `");
    }
}

#[test]
fn hidden_commands_are_denied_by_their_words() {
    for line in [
        "g=git; $g push --force",
        "f=--force; git push $f",
        "echo 'git push --force' | sh",
        "eval \"$(echo git push --force)\"",
        "alias g=git; g push --force",
        "g() { git \"$@\"; }; g push --force",
        "x='g''it'; $x push --force",
    ] {
        force_push(line, "denied: the command hides what it runs");
    }
    for line in [
        "$EDITOR x; git push",
        "git push \"$BRANCH\"",
        "echo $HOME; git status",
        "git commit -m \"$M\"",
    ] {
        force_push(line, "allowed");
    }
}

#[test]
fn what_cannot_be_parsed_is_never_allowed_by_a_rule() {
    let line = "git status 'unclosed";
    let rules = [allow("git", &[]), deny("git", &["push"])];
    let got = shell_verdict(&rules, line);
    let expect = "denied: the command cannot be taken apart (a quote is not closed), and names the program of rule 2 \
                  (ringfence.toml:12): history is shared";
    assert_eq!(got, expect);
    let got = shell_verdict(&rules[..1], line);
    assert!(got.starts_with("allowed: no deny rule names a program in the command"), "{got}");
    assert!(shell_verdict(&rules, "ls 'unclosed").starts_with("allowed: no deny rule"));
    assert!(shell_verdict(&[allow("git", &[])], "$x; git status").starts_with("allowed: no rule"));
}

#[test]
fn the_first_rule_decides() {
    let rules = [
        allow("git", &["push", "--force", "test"]),
        deny("git", &["push", "--force"]),
        deny("*", &[]),
    ];
    let check =
        |line: &str, expect: &str| assert!(shell_verdict(&rules, line).contains(expect), "{line}");
    check("git push --force test", "allowed: `git push --force test` matches rule 1");
    check("git push --force main", "matches rule 2");
    check("git status", "matches rule 3");
    check("git push --force test; ls", "`ls` matches rule 3");
    check("$x", "rule 3");
    check("'", "rule 3");
}

#[test]
fn shells_and_their_arguments_are_listed() {
    let policy = Policy {
        allowed_shells: vec!["/bin/sh".into(), "/bin/bash".into()],
        allowed_shell_args: vec!["-c".into()],
        ..Policy::unrestricted(PolicyMode::Allowlist)
    };
    let line = CommandLine::parse(b"ls").expect("a line");
    let check = |shell, shell_arg, expect: &str| {
        let verdict = decide(&Request::Shell { shell, shell_arg, line: &line }, &policy);
        assert_eq!(verdict.to_string(), expect);
        assert_eq!(verdict.cause().reason_code(), "policy_denied");
    };
    check("/bin/sh", "-c", "allowed: no rule speaks about the command");
    check(
        "/bin/fish",
        "-c",
        "denied: the shell `/bin/fish` is not one of the allowed (/bin/sh, /bin/bash)",
    );
    check("/bin/sh", "-ic", "denied: the shell argument `-ic` is not one of the allowed (-c)");
    check("sh", "-c", "denied: the shell `sh` is not one of the allowed (/bin/sh, /bin/bash)");
    let unsafe_policy = Policy::unrestricted(PolicyMode::Unsafe);
    assert!(
        decide(&Request::Shell { shell: "x", shell_arg: "y", line: &line }, &unsafe_policy)
            .is_allowed()
    );
}

#[test]
fn programs_have_rules_too() {
    let policy = Policy {
        rules: vec![deny("git", &["push"])],
        ..Policy::unrestricted(PolicyMode::Allowlist)
    };
    let check = |argv: &[&str], expect: &str| {
        let argv: Vec<Vec<u8>> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
        let verdict = decide(&Request::Program { argv: &argv }, &policy);
        assert!(verdict.to_string().starts_with(expect), "{argv:?}: {verdict}");
    };
    check(&["git", "status"], "allowed");
    check(&["git", "push"], "denied: `git push` matches rule 1");
    check(&["env", "A=b", "git", "push"], "denied: `git push` matches rule 1");
    check(&["sh", "-c", "git push"], "denied: `git push` matches rule 1");
    check(&["echo", "git push"], "allowed");
    check(&[], "denied: the command is empty");
    check(&["a\0"], "denied: the command has a NUL byte");
}

#[test]
fn the_unsafe_mode_passes_every_variable() {
    let mut policy = Policy::unrestricted(PolicyMode::Allowlist);
    policy.env = EnvAllowlist::new(["PATH"]);
    assert!(!policy.effective_env().allows("TOKEN"));
    policy.mode = PolicyMode::Unsafe;
    assert!(policy.effective_env().allows("TOKEN"));
}

#[test]
fn a_cause_is_short_and_printable() {
    let line = format!("git push --force {}\u{1b}[2J", "x".repeat(500));
    let got = shell_verdict(&[deny("git", &["push"])], &line);
    assert!(got.chars().count() < 300 && !got.contains('\u{1b}'), "{got}");
    let got = shell_verdict(&[deny("git", &["push"])], "git push \u{1b}[2J");
    assert!(got.contains("\\u{1b}"), "{got}");
}

#[test]
fn refusals_advise() {
    let rules = [deny("git", &[])];
    let policy = Policy { rules: rules.to_vec(), ..Policy::unrestricted(PolicyMode::Unsafe) };
    let line = CommandLine::parse(b"git").expect("a line");
    let verdict = decide(&Request::Shell { shell: "s", shell_arg: "-c", line: &line }, &policy);
    assert_eq!(
        verdict.cause().hint().as_deref(),
        Some("change rule 1 (ringfence.toml:12), or put an `allow` rule before it")
    );
}
