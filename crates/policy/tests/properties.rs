//! Properties that hold for every input: nothing panics, a denied program stays denied, and no spelling gets past a suffix.

use proptest::prelude::*;
use ringfence_policy::{
    AllowEntry, Allowlist, CommandLine, Destination, Effect, EnvAllowlist, Policy, PolicyMode,
    Request, Rule, Verdict, decide,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn policy() -> Policy {
    let rule = |effect, program: &str| Rule {
        effect,
        program: program.into(),
        args: Vec::new(),
        reason: String::new(),
        origin: None,
    };
    let rules = vec![rule(Effect::Allow, "ls"), rule(Effect::Deny, "git")];
    Policy { rules, ..Policy::unrestricted(PolicyMode::Unsafe) }
}

fn verdict(line: &[u8]) -> Option<Verdict> {
    let line = CommandLine::parse(line).ok()?;
    Some(decide(&Request::Shell { shell: "/bin/sh", shell_arg: "-c", line: &line }, &policy()))
}

/// Text with far more of what a shell cares about than chance would give.
fn shellish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("$("),
        Just(")"),
        Just("`"),
        Just("${"),
        Just("}"),
        Just("'"),
        Just("\""),
        Just("\\"),
        Just("(("),
        Just("))"),
        Just("<<E\n"),
        Just("E\n"),
        Just("case x in "),
        Just("esac"),
        Just(";;"),
        Just("if "),
        Just("fi"),
        Just("for x in "),
        Just("[["),
        Just("]]"),
        Just("sh -c "),
        Just("eval "),
        Just("env "),
        Just("xargs "),
        Just("ls"),
        Just(" "),
        Just("\n"),
        Just(";"),
        Just("|"),
        Just("&"),
        Just(">"),
        Just("<("),
        Just("A="),
        Just("$x"),
        Just("#"),
        Just("$'"),
        Just("a"),
        Just("é"),
        Just("=("),
        Just("@("),
        Just("{a,b}"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A label as DNS has them.
fn label() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,8}[a-z0-9])?"
}

fn covers(entry: &str, host: &str) -> bool {
    let list = Allowlist::new([AllowEntry::parse(entry).expect("a good entry")]);
    Destination::new(host, 443).is_ok_and(|destination| list.matches(&destination).is_some())
}

proptest! {
    #[test]
    fn deciding_never_panics_on_bytes(line in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(verdict(&line));
    }

    #[test]
    fn deciding_never_panics_on_shell_text(line in shellish()) {
        drop(verdict(line.as_bytes()));
    }

    #[test]
    fn a_denied_program_in_front_of_anything_is_denied(rest in shellish()) {
        let line = format!("git {rest}");
        prop_assert!(!verdict(line.as_bytes()).expect("a line").is_allowed(), "{line}");
    }

    #[test]
    fn a_denied_program_after_whole_commands_is_denied(words in prop::collection::vec("[a-z]{1,6}", 1..5)) {
        for line in [format!("x {}; git", words.join(" ")), format!("x {} | git push", words.join(" ; y "))] {
            prop_assert!(!verdict(line.as_bytes()).expect("a line").is_allowed(), "{line}");
        }
    }

    #[test]
    fn argv_never_panics(argv in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)) {
        drop(decide(&Request::Program { argv: &argv }, &policy()));
    }

    #[test]
    fn a_name_covers_itself_only(name in label(), other in label(), tail in label()) {
        let entry = format!("{name}.{tail}");
        for same in [entry.to_ascii_uppercase(), format!("{entry}.")] {
            prop_assert!(covers(&entry, &same), "{}", same);
        }
        for else_where in [format!("{other}.{entry}"), format!("{other}{entry}"), format!("{entry}.{other}"), format!("{entry}{other}")] {
            prop_assert!(!covers(&entry, &else_where), "{}", else_where);
        }
    }

    #[test]
    fn a_wildcard_covers_what_is_below_only(a in label(), b in label(), domain in label(), tail in label()) {
        // Else `a.parent.b` is below the parent indeed.
        prop_assume!(!(domain == tail && tail == b));
        let parent = format!("{domain}.{tail}");
        let entry = format!("*.{parent}");
        for below in [format!("{a}.{parent}"), format!("{a}.{b}.{parent}.")] {
            prop_assert!(covers(&entry, &below), "{}", below);
        }
        let near = [
            format!("{a}{parent}"),
            format!("{a}-{parent}"),
            format!("{a}.{parent}.{b}"),
            format!(".{parent}"),
            format!("{a}..{parent}"),
        ];
        let tricks = ["%00", "\0", "@", "#", "?", "/", "\\", " ", "\t", "\n", ":80"];
        let tricks = tricks.map(|trick| format!("evil.com{trick}.{parent}"));
        for host in near.into_iter().chain(tricks).chain([parent]) {
            prop_assert!(!covers(&entry, &host), "{:?}", host);
        }
    }

    #[test]
    fn networks_cover_what_their_bits_say(address: u32, prefix in 0_u8..=32, other: u32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let entry = format!("{}/{prefix}", Ipv4Addr::from(address & mask));
        let expect = other & mask == address & mask;
        let v4 = Ipv4Addr::from(other);
        prop_assert_eq!(covers(&entry, &v4.to_string()), expect);
        prop_assert_eq!(covers(&entry, &v4.to_ipv6_mapped().to_string()), expect);
    }

    #[test]
    fn six_networks_cover_what_their_bits_say(address: u128, prefix in 0_u8..=128, other: u128) {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        let near = (address & mask) | (other & !mask);
        let is_mapped = |bits: u128| Ipv6Addr::from(bits).to_ipv4_mapped().is_some();
        prop_assume!(!is_mapped(address & mask) && !is_mapped(near) && !is_mapped(other));
        let entry = format!("{}/{prefix}", Ipv6Addr::from(address & mask));
        prop_assert!(covers(&entry, &Ipv6Addr::from(near).to_string()));
        prop_assert_eq!(covers(&entry, &Ipv6Addr::from(other).to_string()), other & mask == address & mask);
    }

    #[test]
    fn entries_print_what_they_read(text in "(\\*\\.)?[a-z0-9.:/\\[\\]-]{0,24}") {
        if let Ok(entry) = AllowEntry::parse(&text) {
            prop_assert_eq!(AllowEntry::parse(&entry.to_string()), Ok(entry));
        }
    }

    #[test]
    fn addresses_print_what_they_read(address: IpAddr, port in 1_u16..) {
        let text = match address {
            IpAddr::V4(v4) => format!("{v4}:{port}"),
            IpAddr::V6(v6) => format!("[{v6}]:{port}"),
        };
        let entry = AllowEntry::parse(&text).expect("a good entry");
        prop_assert_eq!(AllowEntry::parse(&entry.to_string()), Ok(entry.clone()));
        prop_assert!(entry.matches(&Destination::ip(address, port)));
        prop_assert!(!entry.matches(&Destination::ip(address, port ^ 1)));
    }

    #[test]
    fn no_entry_and_no_destination_panics(text in "\\PC{0,40}", port: u16) {
        drop(AllowEntry::parse(&text));
        drop(Destination::new(&text, port));
    }

    #[test]
    fn a_number_is_no_name(number in "(0[xX][0-9a-fA-F]{1,8}|0[0-7]{1,11}|[0-9]{4,10})", front in "([0-9a-z]{1,3}\\.){0,3}") {
        let host = format!("{front}{number}");
        prop_assume!(host.parse::<Ipv4Addr>().is_err());
        prop_assert!(AllowEntry::parse(&host).is_err(), "{host}");
        prop_assert!(Destination::new(&host, 80).is_err(), "{host}");
    }

    #[test]
    fn variables_pass_by_their_whole_name(name in "[A-Z_]{1,8}", other in "[A-Z_]{1,8}") {
        let list = EnvAllowlist::new([name.as_str()]);
        prop_assert!(list.allows(&name));
        prop_assert_eq!(list.allows(&other), name == other);
        let list = EnvAllowlist::new([format!("{name}*")]);
        prop_assert_eq!(list.allows(&other), other.starts_with(&name));
    }
}
