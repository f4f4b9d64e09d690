//! Layers as the kernel makes them: real programs write to a real overlay, and what is applied
//! afterwards is what they saw.

use std::fs;
use std::path::Path;

use crate::support::{Place, shell, tree};
use proptest::prelude::*;
use ringfence_workspace::{ChangeKind, Layers};

/// Lower tree, commands in the overlay, and the changes that are expected, as `letter path`.
fn check(before: &str, commands: &str, expect: &[&str]) {
    let Some(place) = Place::overlaid(before, commands) else { return };
    let layer = place.layer();
    let diff = layer.diff().expect("a diff");
    let found: Vec<String> = diff
        .changes
        .iter()
        .map(|change| {
            let letter = match change.kind {
                ChangeKind::ModeChanged => 'm',
                kind => kind.letter(),
            };
            format!("{letter} {}", ringfence_workspace::escape(&change.path))
        })
        .collect();
    assert_eq!(found, expect, "{commands}");
    let report = layer.apply(&[], false).expect("an apply");
    assert_eq!((report.refused, report.failed), (vec![], vec![]), "{commands}");
    assert_eq!(tree(&place.workspace()), tree(&place.shown()), "{commands}");
    place.check_gone();
}

#[test]
fn what_a_command_can_do_to_a_file() {
    check("echo a > f", "true", &[]);
    check("echo a > f", "echo b > new", &["A new"]);
    check("echo a > f", "echo b >> f", &["M f"]);
    check("echo a > f", "rm f", &["D f"]);
    check("echo a > f", "chmod 600 f", &["m f"]);
    check("echo a > f", "chmod 600 f; chmod 644 f; touch f", &[]);
    check("echo a > f", "echo a > g; mv g f; chmod 644 f", &[]);
    check("echo a > f", "mv f g", &["D f", "A g"]);
    check("echo a > f", "rm f; ln -s /etc/passwd f", &["T f"]);
    check("ln -s a l", "ln -sfn b l", &["M l"]);
    check("ln -s a l", "rm l; mkdir l; echo > l/x", &["T l", "A l/x"]);
    check("echo a > f", "rm f; mkfifo f", &["T f"]);
    check("echo a > f; chmod 644 f", "chmod 000 f", &["m f"]);
    check("echo > e", ": > empty; : > e", &["M e", "A empty"]);
}

#[test]
fn what_a_command_can_do_to_a_directory() {
    let lower = "mkdir -p d/e; echo 1 > d/f; echo 2 > d/e/g";
    check(lower, "rm -r d", &["D d"]);
    check(lower, "rm -r d; mkdir d; echo 1 > d/f; chmod 644 d/f", &["D d/e"]);
    check(lower, "rm -r d; mkdir -p d/e; echo 9 > d/new", &["D d/e/g", "D d/f", "A d/new"]);
    check(lower, "rm -r d; echo x > d", &["T d"]);
    check(lower, "rm d/f; mkdir d/f; echo x > d/f/y", &["T d/f", "A d/f/y"]);
    check(lower, "cp -r d n; rm -r d", &["D d", "A n", "A n/e", "A n/e/g", "A n/f"]);
    check(lower, "chmod 700 d/e", &["m d/e"]);
    check(lower, "chmod 700 .", &["m ."]);
    check(lower, "mkdir -p x/y/z; chmod 555 x/y; chmod 000 x/y/z", &["A x", "A x/y", "A x/y/z"]);
    check(lower, "echo > d/e/h; chmod 555 d/e", &["m d/e", "A d/e/h"]);
    check(lower, "mkdir d/m; echo 1 > d/m/n; rm -r d/m", &[]);
}

#[test]
fn a_directory_that_keeps_its_owner_out() {
    let lower = "mkdir -p d/e; echo 1 > d/f; chmod 555 d";
    check(lower, "chmod 755 d; echo 2 > d/g; chmod 555 d", &["A d/g"]);
    check(lower, "chmod 755 d; rm d/f; chmod 555 d", &["D d/f"]);
    check("true", "mkdir x; echo 1 > x/y; chmod 400 x", &["A x", "A x/y"]);
    let Some(place) = Place::overlaid("true", "mkdir x; echo 1 > x/y; echo 2 > x/z; chmod 400 x")
    else {
        return;
    };
    let report = place.layer().apply(&["x/y".into()], false).expect("an apply");
    assert_eq!((report.refused, report.failed), (vec![], vec![]));
}

#[test]
fn names_that_are_no_text() {
    check(
        "printf x > \"$(printf 'a\\nb')\"",
        "printf y > \"$(printf 'a\\nb')\"; printf y > \"$(printf '\\377')\"; printf y > ' -rf *'; printf y > \"$(printf '\\033[31m')\"",
        &["A \\u{1b}[31m", "A  -rf *", "M a\\nb", "A \\xff"],
    );
}

#[test]
fn links_holes_and_times_are_kept() {
    let Some(place) = Place::overlaid(
        "echo old > a",
        "ln a b; echo x > h1; ln h1 h2; mkdir d; ln h1 d/h3; truncate -s 64M hole; printf end >> hole; \
         echo t > t; touch -d 2001-02-03T04:05:06Z t; mkdir td; echo > td/x; touch -d 2001-02-03T04:05:06Z td",
    ) else {
        return;
    };
    let report = place.layer().apply(&[], false).expect("an apply");
    assert_eq!((report.refused, report.failed, report.left), (vec![], vec![], 0));
    assert_eq!(tree(&place.workspace()), tree(&place.shown()));
    use std::os::unix::fs::MetadataExt;
    let meta = |name: &str| fs::symlink_metadata(place.workspace().join(name)).expect("a file");
    assert_eq!((meta("h1").ino(), meta("h1").nlink()), (meta("d/h3").ino(), 3));
    assert_eq!(meta("a").ino(), meta("b").ino());
    assert!(meta("hole").len() > 64 << 20 && meta("hole").blocks() * 512 < 1 << 20);
    assert_eq!((meta("t").mtime(), meta("td").mtime()), (981_173_106, 981_173_106));
}

#[test]
fn rights_of_others_are_left_out() {
    let Some(place) = Place::overlaid("true", "echo x > s; chmod 6755 s; echo y > p; chmod 2750 p")
    else {
        return;
    };
    let layer = place.layer();
    assert_eq!(layer.diff().expect("a diff").warnings.len(), 2);
    let report = layer.apply(&[], false).expect("an apply");
    assert_eq!((report.warnings.len(), report.left), (2, 0));
    use std::os::unix::fs::MetadataExt;
    let mode =
        |name: &str| fs::metadata(place.workspace().join(name)).expect("a file").mode() & 0o7777;
    assert_eq!((mode("s"), mode("p")), (0o755, 0o750));
}

#[test]
fn sockets_are_left_out() {
    let make = "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\" || perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(\"s\"))'; echo > f";
    let Some(place) = Place::overlaid("true", make) else { return };
    if !place.shown().join("s").exists() {
        return;
    }
    let report = place.layer().apply(&[], false).expect("an apply");
    assert_eq!(report.warnings, ["s: a socket was left out"]);
    assert_eq!(fs::read_dir(place.workspace()).expect("a directory").count(), 1);
    place.check_gone();
}

#[test]
fn one_path_at_a_time() {
    let lower = "mkdir -p old/sub; echo 1 > old/f; echo 2 > old/sub/g; echo 3 > keep";
    let commands = "rm -r old; mkdir old; echo 9 > old/f; echo 8 > old/h; mkdir -p n/m; echo 7 > n/m/x; echo 6 > n/y; rm keep";
    let Some(place) = Place::overlaid(lower, commands) else { return };
    for (path, left) in
        [("old/f", 7), ("n/m/x", 4), ("./keep", 3), ("n", 2), ("old/sub", 1), ("old", 0)]
    {
        let report = place.layer().apply(&[path.into()], true).expect("an apply");
        assert_eq!((report.failed, report.left), (vec![], left), "{path}");
    }
    assert_eq!(tree(&place.workspace()), tree(&place.shown()));
    place.check_gone();
}

#[test]
fn names_of_one_file_on_the_host_part_as_they_did_in_the_overlay() {
    let lower = "echo 0 > a; ln a b";
    check(lower, "chmod 400 b", &["m b"]);
    check(lower, "chmod 400 b; echo 1 > a", &["M a", "m b"]);
    check(lower, "echo 1 > a; rm b", &["M a", "D b"]);
}

#[test]
fn what_was_applied_is_not_taken_for_a_change_of_the_host() {
    for (before, commands, parts) in [
        ("echo 1 > x; mkdir d", "mv x a; mv a d/a", [("x", 1), ("d/a", 0)]),
        ("echo 1 > x", "mkdir -p d/e; mv x d", [("d/e", 2), ("d/x", 1)]),
    ] {
        let Some(place) = Place::overlaid(before, commands) else { return };
        for (path, left) in parts {
            let report = place.layer().apply(&[path.into()], false).expect("an apply");
            assert_eq!((report.refused, report.left), (vec![], left), "{path}");
        }
    }
}

#[test]
fn a_whole_directory_taken_twice_needs_no_force() {
    let lower = "mkdir old; echo 1 > old/f; echo 2 > old/g";
    let Some(place) = Place::overlaid(lower, "rm -r old; mkdir old; echo 9 > old/f") else {
        return;
    };
    for (path, left) in [("old/f", 1), ("old/g", 0)] {
        let report = place.layer().apply(&[path.into()], false).expect("an apply");
        assert_eq!((report.refused, report.left), (vec![], left), "{path}");
    }
}

/// What the host does after the run, and the paths that are then refused.
fn conflicts(before: &str, commands: &str, meanwhile: &str, expect: &[&str]) {
    let Some(place) = Place::overlaid(before, commands) else { return };
    shell(&place.workspace(), meanwhile);
    let host = tree(&place.workspace());
    let report = place.layer().apply(&[], false).expect("an apply");
    let refused: Vec<&Path> = report.refused.iter().map(|refusal| refusal.path.as_path()).collect();
    assert_eq!(refused, expect.iter().map(Path::new).collect::<Vec<_>>(), "{meanwhile}");
    if expect.is_empty() {
        return;
    }
    assert_eq!(tree(&place.workspace()), host, "nothing is applied: {meanwhile}");
    let report = place.layer().apply(&[], true).expect("an apply");
    assert_eq!((report.failed, report.left), (vec![], 0), "{meanwhile}");
    let (host, shown) = (tree(&place.workspace()), tree(&place.shown()));
    let lost: Vec<_> =
        shown.iter().filter(|(path, entry)| host.get(*path) != Some(entry)).collect();
    assert!(lost.is_empty(), "{meanwhile}: {lost:?}");
}

#[test]
fn what_the_host_changed_meanwhile_is_refused() {
    conflicts("echo a > f", "echo b > f", "echo c > f", &["f"]);
    conflicts("echo a > f", "echo b > f", "echo b > f", &[]);
    conflicts("echo a > f", "echo b > f", "echo c > other", &[]);
    conflicts("echo a > f", "rm f", "echo c > f", &["f"]);
    conflicts("echo a > f", "rm f", "rm f", &[]);
    conflicts("true", "echo b > n", "echo c > n", &["n"]);
    conflicts("true", "echo b > n", "ln -s /etc/passwd n", &["n"]);
    conflicts("true", "mkdir n; echo b > n/x", "echo c > n", &["n"]);
    conflicts("mkdir d; echo a > d/f", "rm -r d", "echo c > d/f", &["d"]);
    conflicts("mkdir d; echo a > d/f", "rm -r d", "echo c > d/new", &["d"]);
    conflicts("mkdir d; echo a > d/f", "rm -r d; mkdir d", "echo c > d/new", &["d/f", "d/new"]);
    conflicts("echo a > f", "chmod 600 f", "echo c > f", &["f"]);
}

#[test]
fn a_protected_path_is_refused() {
    let lower = "mkdir -p .git/hooks sub/deep; echo a > .git/config; echo a > sub/deep/.envrc";
    for (commands, refused) in [
        ("echo x > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("rm -r .git", ".git"),
        ("rm -r sub", "sub"),
        ("rm -r .git; ln -s /tmp .git", ".git"),
        ("echo x > sub/.envrc", "sub/.envrc"),
    ] {
        let Some(place) = Place::overlaid(lower, commands) else { return };
        let report = place.layer().apply(&[], false).expect("an apply");
        let found: Vec<&Path> =
            report.refused.iter().map(|refusal| refusal.path.as_path()).collect();
        assert_eq!(found, [Path::new(refused)], "{commands}");
        let report = place.layer().apply(&[], true).expect("an apply");
        assert_eq!(report.left, 0, "{commands}");
    }
}

#[test]
fn a_link_in_the_layer_leads_nowhere() {
    let Some(place) = Place::overlaid("mkdir d; echo a > d/f", "mv d e; ln -s \"$OUTSIDE\" d")
    else {
        return;
    };
    let report = place.layer().apply(&[], false).expect("an apply");
    assert_eq!((report.failed, report.left), (vec![], 0));
    assert_eq!(fs::read_dir(place.outside()).expect("a directory").count(), 0);
}

#[test]
fn a_link_on_the_host_leads_nowhere() {
    let Some(place) = Place::overlaid("mkdir d; echo a > d/f", "echo b > d/f; echo b > d/n") else {
        return;
    };
    shell(&place.workspace(), "rm -r d; ln -s \"$OUTSIDE\" d");
    let report = place.layer().apply(&[], false).expect("an apply");
    assert_eq!(report.refused.len(), 1, "{report:?}");
    assert_eq!(fs::read_dir(place.outside()).expect("a directory").count(), 0);
    let report = place.layer().apply(&[], true).expect("an apply");
    assert_eq!((report.failed, report.left), (vec![], 0));
    assert_eq!(fs::read_dir(place.outside()).expect("a directory").count(), 0);
}

#[test]
fn an_empty_layer_goes_and_a_full_one_stays() {
    let Some(place) = Place::overlaid("echo a > f", "echo b > f; echo a > f") else { return };
    let layers = Layers::of(&place.state());
    assert_eq!(layers.open("RUN").expect("a layer").finish().expect("an end"), 0);
    place.check_gone();
    let Some(place) = Place::overlaid("echo a > f", "echo b > f; mkdir -p x/y; chmod 000 x/y x")
    else {
        return;
    };
    assert_eq!(place.layer().finish().expect("an end"), 3);
    let (listed, warnings) = Layers::of(&place.state()).list().expect("a list");
    assert_eq!((listed.len(), warnings), (1, vec![]));
    assert_eq!(listed[0].changes.as_ref().ok(), Some(&3));
    place.layer().discard().expect("an end");
    place.check_gone();
}

/// One thing that a command does; names come from a small set so that they meet.
fn operation() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "x", "x/a", "x/y", "x/y/b",
    ]);
    (0..16usize, name.clone(), name, 0..4u32).prop_map(|(what, one, other, number)| match what {
        0 | 1 => format!("test -p {one} || echo {number} > {one}"),
        2 => format!("test -p {one} || echo {number} >> {one}"),
        3 | 4 => format!("rm -rf {one}"),
        5 | 6 => format!("mkdir -p {one}"),
        7 | 8 => format!("mv -f {one} {other}"),
        9 => format!("ln -f {one} {other}"),
        10 => format!("ln -sfn {other} {one}"),
        // Those that keep the owner from looking are tried one by one.
        11 => format!("chmod {}40 {one}", [5, 7][number as usize % 2]),
        12 => format!("cp -a --remove-destination {one} {other}"),
        13 => format!("mkfifo {one}"),
        14 => format!("rm -rf {one}; mkdir -p {one}"),
        _ => format!("truncate -s {number}000 {one}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_was_shown_is_what_is_applied(
        before in prop::collection::vec(operation(), 0..12),
        commands in prop::collection::vec(operation(), 0..16),
        parts in prop::collection::vec(prop::sample::select(vec!["a", "b", "d", "d/e", "x", "x/y"]), 0..3),
    ) {
        let Some(place) = Place::overlaid_in_memory(&before.join("\n"), &commands.join("\n")) else { return Ok(()) };
        for part in parts {
            // Some parts were not changed, and some no more.
            if let Ok(layer) = Layers::of(&place.state()).open("RUN") {
                drop(layer.apply(&[part.into()], true));
            }
        }
        if let Ok(layer) = Layers::of(&place.state()).open("RUN") {
            let report = layer.apply(&[], false).expect("an apply");
            prop_assert_eq!(&report.failed, &vec![], "{:?}", commands);
            prop_assert_eq!(&report.refused, &vec![], "{:?}", commands);
        }
        prop_assert_eq!(tree(&place.workspace()), tree(&place.shown()), "{:?} from {:?}", commands, before);
        place.check_gone();
    }
}
