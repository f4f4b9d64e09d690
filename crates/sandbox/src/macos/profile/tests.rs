//! Profiles as text, and what a hostile name cannot make of one.

use super::*;
use proptest::prelude::*;

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(Into::into).collect()
}

fn denying(view: Option<View>) -> Rules {
    Rules {
        view,
        network: NetworkRule::Deny,
        sockets: UnixSockets::Private,
        temp: None,
        terminals: Vec::new(),
    }
}

fn text(rules: &Rules) -> String {
    profile(rules).expect("the paths can be written")
}

#[test]
fn a_usual_run() {
    let view = View {
        writable: paths(&["/Users/me/project"]),
        readable: paths(&["/Users/me/project/vendor"]),
        hidden: paths(&["/Users/me/.ssh", "/Users/me/project/private"]),
        protected: paths(&["/Users/me/project/.git/hooks"]),
        absent: paths(&["/Users/me/project/.git/config.worktree", "/Users/me/project/.envrc"]),
        ..View::default()
    };
    let temp = Some("/private/tmp/run-1".into());
    insta::assert_snapshot!(text(&Rules { temp, ..denying(Some(view)) }));
}

#[test]
fn little_is_seen() {
    let view = View {
        scope: ReadScope::Minimal,
        readable: paths(&["/Users/me/project"]),
        hidden_patterns: vec![Pattern {
            below: "/Users/me/project".into(),
            rest: "**/*.key".into(),
        }],
        protected_patterns: vec![Pattern { below: "/Users/me".into(), rest: "*/.env".into() }],
        ..View::default()
    };
    insta::assert_snapshot!(text(&denying(Some(view))));
}

#[test]
fn files_and_network_of_the_caller() {
    let rules =
        Rules { network: NetworkRule::Inherit, sockets: UnixSockets::Inherit, ..denying(None) };
    insta::assert_snapshot!(text(&rules));
}

/// The lines of a profile that begin with one of these words.
fn lines(rules: &Rules, words: &[&str]) -> String {
    let text = text(rules).replace("\n  ", " ");
    let chosen = text.lines().filter(|line| words.iter().any(|word| line.starts_with(word)));
    chosen.collect::<Vec<_>>().join("\n")
}

#[test]
fn sockets_and_networks() {
    let check = |network, sockets, expect: &str| {
        let view =
            View { writable: paths(&["/w"]), hidden: paths(&["/w/h", "/h"]), ..View::default() };
        let rules = Rules { network, sockets, ..denying(Some(view)) };
        let words = ["(allow network", "(deny network"];
        assert_eq!(lines(&rules, &words), expect);
    };
    let own = "(allow network-bind network-inbound (local unix-socket (subpath \"/w\")))\n";
    let hidden = "\n(deny network-outbound (remote unix-socket (subpath \"/w/h\")))";
    let to_own = "(remote unix-socket (subpath \"/w\"))";
    check(
        NetworkRule::Deny,
        UnixSockets::Private,
        &format!("{own}(allow network-outbound {to_own}){hidden}"),
    );
    check(
        NetworkRule::Gateway(4711),
        UnixSockets::Private,
        &format!(
            "(allow network-outbound (remote ip \"localhost:4711\"))\n\
             {own}(allow network-outbound {to_own}){hidden}"
        ),
    );
    check(
        NetworkRule::Deny,
        UnixSockets::Listed(paths(&["/var/run/x"])),
        &format!(
            "{own}(allow network-outbound {to_own} \
             (remote unix-socket (subpath \"/private/var/run/x\")) \
             (remote unix-socket (subpath \"/var/run/x\"))){hidden}"
        ),
    );
    check(
        NetworkRule::Deny,
        UnixSockets::Inherit,
        &format!(
            "{own}(allow network-outbound (remote unix-socket))\n\
             (deny network-outbound (remote unix-socket (subpath \"/w/h\")) \
             (remote unix-socket (subpath \"/h\")))"
        ),
    );
}

#[test]
fn the_innermost_place_speaks_last_and_the_stricter_word_on_one_path() {
    let view = View {
        writable: paths(&["/w", "/w/a/b", "/w/x"]),
        readable: paths(&["/w/a/b/c", "/w/x"]),
        hidden: paths(&["/w/a", "/w/x"]),
        ..View::default()
    };
    let order: Vec<_> = places(&view, None)
        .into_iter()
        .map(|(path, access)| format!("{access:?} {}", path.display()))
        .collect();
    let expect = [
        "Write /w",
        "Hide /w/a",
        "Write /w/x",
        "Read /w/x",
        "Hide /w/x",
        "Write /w/a/b",
        "Read /w/a/b/c",
    ];
    assert_eq!(order, expect);
}

#[test]
fn names_of_one_path() {
    let check = |path: &str, expect: &[&str]| assert_eq!(all_names(path), expect);
    check("/a", &["/a", "/System/Volumes/Data/a"]);
    check("/tmp/a", &["/private/tmp/a", "/tmp/a", "/System/Volumes/Data/private/tmp/a"]);
    check("/private/var", &["/private/var", "/var", "/System/Volumes/Data/private/var"]);
    check("/tmpfile", &["/tmpfile", "/System/Volumes/Data/tmpfile"]);
    check("/System/Volumes/Data/a", &["/System/Volumes/Data/a", "/a"]);
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let check = |view: View| {
        let error = profile(&denying(Some(view))).expect_err("it holds a line break");
        assert_eq!(error.why, Unwritable::Control);
        assert!(error.path.to_string_lossy().contains('\n'));
    };
    let bad = || paths(&["/w/a\n(allow default)"]);
    let writable = || paths(&["/w"]);
    check(View { writable: bad(), ..View::default() });
    check(View { readable: bad(), ..View::default() });
    check(View { hidden: bad(), ..View::default() });
    check(View { writable: writable(), protected: bad(), ..View::default() });
    check(View { writable: writable(), absent: bad(), ..View::default() });
    let patterns = || vec![Pattern { below: "/w".into(), rest: "*\n".into() }];
    check(View { hidden_patterns: patterns(), ..View::default() });
    check(View { protected_patterns: patterns(), ..View::default() });
}

/// A profile as a reader of the dialect takes it apart: parentheses and words as they are, strings
/// without their escapes and marked as such.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '(' | ')' => tokens.push(letter.to_string()),
            '"' => {
                let mut string = String::from("\"");
                loop {
                    match letters.next().expect("a string is closed") {
                        '"' => break,
                        '\\' => string.push(letters.next().expect("an escape is whole")),
                        letter => string.push(letter),
                    }
                }
                tokens.push(string);
            }
            letter if letter.is_whitespace() => {}
            letter => {
                let mut word = letter.to_string();
                while let Some(letter) =
                    letters.next_if(|letter| !letter.is_whitespace() && !"()\"".contains(*letter))
                {
                    word.push(letter);
                }
                tokens.push(word);
            }
        }
    }
    tokens
}

/// A profile with a name in every place that takes one.
fn with_name(name: &str) -> Option<Vec<String>> {
    let below = |root: &str| vec![PathBuf::from(format!("{root}/{name}"))];
    let pattern = || Pattern { below: format!("/w/{name}").into(), rest: name.to_owned() };
    let view = View {
        scope: ReadScope::Host,
        writable: vec!["/w".into(), format!("/e/{name}").into()],
        readable: below("/r"),
        hidden: below("/h"),
        hidden_patterns: vec![pattern()],
        protected: below("/w"),
        absent: below("/w"),
        protected_patterns: vec![pattern()],
    };
    let rules = Rules {
        view: Some(view),
        network: NetworkRule::Inherit,
        sockets: UnixSockets::Listed(below("/s")),
        temp: Some(format!("/t/{name}").into()),
        terminals: below("/dev"),
    };
    profile(&rules).ok().map(|text| tokens(&text))
}

proptest! {
    #[test]
    fn no_name_breaks_out_of_its_string(name in "[^/\\PC][^/]{0,24}") {
        prop_assume!(name != "." && name != "..");
        let Some(hostile) = with_name(&name) else {
            prop_assert!(name.chars().any(char::is_control));
            return Ok(());
        };
        let harmless = with_name("x").expect("a letter can be written");
        prop_assert_eq!(hostile.len(), harmless.len());
        // Sorted lists of filters change their order with the name; what is no string must not.
        let words = |tokens: &[String]| -> Vec<String> {
            tokens.iter().filter(|token| !token.starts_with('"')).cloned().collect()
        };
        prop_assert_eq!(words(&hostile), words(&harmless));
        for place in ["/h/", "/r/", "/t/", "/e/", "/w/", "/s/", "/dev/"] {
            let path = format!("\"{place}{name}");
            prop_assert!(hostile.contains(&path), "{} is not among the strings", path);
        }
    }
}
