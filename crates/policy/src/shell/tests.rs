//! Lines and the commands in them.

use super::*;

fn render(analysis: &Analysis) -> String {
    let word = |word: &Word| match word.known {
        Known::Fully => String::from_utf8_lossy(&word.bytes).into_owned(),
        Known::Pattern => format!("<{}>", String::from_utf8_lossy(&word.source)),
        Known::Unknown => "?".to_owned(),
    };
    let command = |command: &Command| command.words.iter().map(word).collect::<Vec<_>>().join(" ");
    let commands = analysis.commands.iter().map(command).collect::<Vec<_>>().join(" | ");
    if analysis.doubtful { format!("{commands} !") } else { commands }
}

/// `|` between commands, `?` for a word nobody knows, `!` at the end of a doubtful line.
fn check(line: &str, expect: &str) {
    let got = match analyse_line(line.as_bytes()) {
        Ok(analysis) => render(&analysis),
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(got, expect, "{line}");
}

#[test]
fn lists_and_pipelines() {
    check("a", "a");
    check("a b; c", "a b | c");
    check("a && b || c & d", "a | b | c | d");
    check("a | b |& c", "a | b | c");
    check("a\nb\n\nc\n", "a | b | c");
    check("a # b; c\nd", "a | d");
    check("a#b", "a#b");
    check("a \\\n b", "a b");
    check("! a", "a");
    check("A=1 B=2 c d=3", "c d=3");
    check("A=1", "");
    check("A[1]=x B+=y c", "c");
    check(":", ":");
}

#[test]
fn quotes() {
    check("'a b' c", "a b c");
    check(r#""a b" c"#, "a b c");
    check(r#"g"i"'t' pu\sh"#, "git push");
    check(r#""a\"b\\c\d""#, "a\"b\\c\\d");
    check("a ''", "a ");
    check("$'gi\\x74' $'\\163'", "git s");
    check("$'\\u0067it' $'a\\tb'", "git a\tb");
    check("$\"git\" x", "git x");
    check("'if' x", "if x");
    check("gi\\\nt", "git");
}

#[test]
fn expansions_are_not_known() {
    check("a $B", "a ?");
    check("a \"$B\" ${C} \"${D:-e f}\"", "a ? ? ?");
    check("$A b", "? b !");
    check("a $ b$", "a $ b$");
    check("a $1 $@ $? $$", "a ? ? ? ?");
    check("a *.rs [ab] x?", "a <*.rs> <[ab]> <x?>");
    check("[ -f a ]", "[ -f a ]");
    check("{g,i}t x", "<{g,i}t> x !");
    check("a {} x{1..3}", "a {} <x{1..3}>");
    check("/usr/bin/gi? x", "</usr/bin/gi?> x !");
}

#[test]
fn substitutions_hold_commands() {
    check("a $(b c) d", "b c | a ? d");
    check("a `b c` d", "b c | a ? d");
    check("a \"x $(b \"$(c)\") y\"", "c | b ? | a ?");
    check("a `b \\`c\\``", "c | b ? | a ?");
    check("A=$(b) c", "b | c");
    check("A=$(b)", "b");
    check("a <(b) >(c)", "b | c | a ? ?");
    check("a ${B:-$(c)}", "c | a ?");
    check("a $((1 + $(b)))", "b | a ?");
    check("a $((1<<2))", "a ?");
    check("a $( (b) )", "b | a ?");
    check("a $((b); c)", "b | c | a ?");
    check("a ${ b; }", "b | a ?");
}

#[test]
fn compound_commands() {
    check("(a; b) && c", "a | b | c");
    check("{ a; b; } | c", "a | b | c");
    check("if a; then b; elif c; then d; else e; fi", "a | b | c | d | e");
    check("while a; do b; done", "a | b");
    check("until a\ndo b\ndone", "a | b");
    check("for x in 1 2 3; do a $x; done", "a ?");
    check("for x in $(a); do b; done", "a | b");
    check("for x; do a; done", "a");
    check("for x\ndo a; done", "a");
    check("for ((i=0; i<3; i++)); do a; done", "a");
    check("case $x in a) b;; (c|d) e ;; *) f; esac; g", "b | e | f | g");
    check("case x in\n a)\n b\n ;;\nesac", "b");
    check("case x in a) case y in b) c;; esac;; d) e;; esac", "c | e");
    check("f() { a; }; f x", "a | f x");
    check("f () ( a )", "a");
    check("f g () { a; }", "f g | a");
    check("function f { a; }", "a");
    check("[[ -f x && $y == z* ]] && a", "a");
    check("[[ a < b || ( c > d ) ]]; e", "]] | e");
    check("((x > 1)) && a", "x | a");
    check("((1 << 2)) && a", "a");
    check("((git push))", "git push");
    check("time -p a", "time -p a | a");
    check("time { a; }", "time | a");
    check("a=(x y $(b)) c", "b | c");
    check("a=(x\ny); c", "c");
    check("shopt -s extglob; ls !(a|b)", "shopt -s extglob | a | b | ls ! ?");
    check("ls @(a|b).c", "ls <@(a|b).c>");
}

#[test]
fn redirections() {
    check("a >b c", "a c");
    check("a 2>&1 >/dev/null <x", "a");
    check(">b a", "a");
    check("a >|b &>c 3<>d >>e", "a");
    check("a > $(b)", "b | a");
    check("a < <(b)", "b | a");
    check("a <<<x b", "a b");
    check("a 2", "a 2");
    check("a >&2 b", "a b");
    check("a >", "error: a redirection has no target");
}

#[test]
fn where_shells_differ_both_readings_count() {
    check("a &>x b c", "b c | a b c");
    check("[[ a || b c ]]", "b c ]]");
    check("[[ a; b c", "b c");
    check("=a b", "<=a> b !");
    check("a $'\\'; b #'", "error: shells read it in different ways");
    check("a $[1<<2]", "error: shells read it in different ways");
    check("((1 << 2))\na", "a");
}

#[test]
fn heredocs() {
    check("a <<E\nb; c\nE\nd", "a | d");
    check("a <<E\n$(b)\n`c`\nE\nd", "a | b | c | d");
    check("a <<'E'\n$(b)\nE\nd", "a | d");
    check("a <<-E\n\tb\n\tE\nd", "a | d");
    check("a <<E && c\nx\nE\nd", "a | c | d");
    check("a <<E <<F\nx\nE\ny\nF\nd", "a | d");
    check("a <<E\nit's \"\nE\nd", "a | d");
    check("a <<E\nunended", "a");
    check("while a; do b; done <<E\nx\nE\nc", "a | b | c");
}

#[test]
fn wrappers_are_looked_through() {
    check("sudo -u root git push", "sudo -u root git push | git push");
    check("sudo -nu root -- git push", "sudo -nu root -- git push | git push");
    check("env -i A=b git push", "env -i A=b git push | git push");
    check("env -u A git", "env -u A git | git");
    check("env -S 'git push'", "env -S git push | git push");
    check("nice -n 5 git", "nice -n 5 git | git");
    check("nice -5 git", "nice -5 git | git");
    check("nohup setsid git", "nohup setsid git | setsid git | git");
    check("exec -a x git", "exec -a x git | git");
    check("command git", "command git | git");
    check("command -v git", "command -v git");
    check("timeout -k 1 5 git", "timeout -k 1 5 git | git");
    check("timeout --kill-after=1 5 git", "timeout --kill-after=1 5 git | git");
    check("a | xargs -n 1 -I {} git {}", "a | xargs -n 1 -I {} git {} | git {}");
    check("/usr/bin/env git", "/usr/bin/env git | git");
    check("busybox rm -r x", "busybox rm -r x | rm -r x");
    check("stdbuf -oL git", "stdbuf -oL git | git");
    check(
        "find . -name x -exec rm {} \\; -exec ls {} +",
        "find . -name x -exec rm {} ; -exec ls {} + | rm {} | ls {}",
    );
    check("gdb --args git push", "gdb --args git push | git push");
    check("sudo $X git", "sudo ? git | ? git !");
    check("sudo", "sudo");
}

#[test]
fn shells_are_looked_into() {
    check("sh -c 'a; b'", "sh -c a; b | a | b");
    check("bash -lc 'a' x", "bash -lc a x | a");
    check("bash -o pipefail -ec 'a'", "bash -o pipefail -ec a | a");
    check("bash --rcfile x -c a", "bash --rcfile x -c a | a");
    check("sh -c \"sh -c 'a b'\"", "sh -c sh -c 'a b' | sh -c a b | a b");
    check("sh script.sh a", "sh script.sh a");
    check("a | sh", "a | sh !");
    check("sh -c \"$X\"", "sh -c ? !");
    check("sh <<E\na b\nE", "sh | a b");
    check("sh <<<'a b'", "sh | a b");
    check("eval a 'b; c'", "eval a b; c | a b | c");
    check("eval \"$X\"", "eval ? !");
    check("trap 'a' EXIT", "trap a EXIT | a");
    check("alias g=git; g push", "alias g=git | g push !");
    check("su -c 'a b' root", "su -c a b root | a b");
    check("flock /x -c 'a b'", "flock /x -c a b | a b");
}

#[test]
fn what_cannot_be_taken_apart() {
    check("a 'b", "error: a quote is not closed");
    check("a \"b", "error: a quote is not closed");
    check("a $'b", "error: a quote is not closed");
    check("a $(b", "error: a bracket or substitution is not closed");
    check("a `b", "error: a bracket or substitution is not closed");
    check("a ${b", "error: a bracket or substitution is not closed");
    check("(a", "error: a bracket or substitution is not closed");
    check("a )", "error: a bracket closes nothing");
    check("case x of a) b;; esac", "error: a `case` is not in the form of one");
    check("sh -c 'a \"'", "error: a quote is not closed");
}

#[test]
fn nesting_has_a_bound() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}a{}", open.repeat(n), close.repeat(n));
    for (open, close) in [
        ("$(", ")"),
        ("(", ")"),
        ("$((", "))"),
        ("${x:-", "}"),
        ("eval ", ""),
        ("sudo ", ""),
        ("a=(", ")"),
        ("x@(", ")"),
    ] {
        let line = deep(open, close, 10_000);
        let error = analyse_line(line.as_bytes()).expect_err(open);
        assert!(matches!(error, ShellError::TooDeep | ShellError::StrayBracket), "{open}: {error}");
    }
    assert_eq!(analyse_line("$((".repeat(30).as_bytes()).err(), Some(ShellError::TooDeep));
}

#[test]
fn argv_is_taken_as_it_is() {
    let argv =
        |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let check = |words: &[&str], expect: &str| {
        assert_eq!(render(&analyse_argv(&argv(words)).expect("nothing to parse")), expect);
    };
    check(&["git", "push", "$X", "a b"], "git push $X a b");
    check(&["env", "git", "push"], "env git push | git push");
    check(&["sh", "-c", "a; b"], "sh -c a; b | a | b");
}
