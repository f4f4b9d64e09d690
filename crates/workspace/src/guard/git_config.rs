//! Which keys of a git config run a program or read another config.
//!
//! Only the names matter, and they are found by reading lines: sections, keys, continuations. It is
//! not a full reader of the format; what it cannot read it skips, as it only warns.

/// Keys that run something, as `section.key`, without the subsection; lower case.
///
/// Source: git-config(1) of git 2.47, each key whose value is a command, a path to one, or another config.
const DANGEROUS: &[&str] = &[
    "core.fsmonitor",
    "core.hookspath",
    "core.sshcommand",
    "core.editor",
    "core.pager",
    "core.askpass",
    "core.gitproxy",
    "core.alternaterefscommand",
    "core.attributesfile",
    "core.worktree",
    "credential.helper",
    "diff.command",
    "diff.external",
    "diff.textconv",
    "difftool.cmd",
    "difftool.path",
    "filter.clean",
    "filter.smudge",
    "filter.process",
    "gpg.program",
    "include.path",
    "includeif.path",
    "init.templatedir",
    "interactive.difffilter",
    "merge.driver",
    "mergetool.cmd",
    "mergetool.path",
    "remote.receivepack",
    "remote.uploadpack",
    "remote.vcs",
    "sendemail.sendmailcmd",
    "sendemail.tocmd",
    "sendemail.cccmd",
    "sequence.editor",
    "ssh.variant",
    "submodule.update",
    "trailer.cmd",
    "trailer.command",
    "uploadpack.packobjectshook",
    "web.browser",
    "browser.cmd",
    "browser.path",
    "man.cmd",
    "man.path",
];

/// Sections whose every key runs something.
const DANGEROUS_SECTIONS: &[&str] = &["alias", "pager"];

/// The dangerous keys that are set, as git writes them, each once.
pub(crate) fn dangerous_keys(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut keys = Vec::new();
    let (mut section, mut subsection) = (String::new(), String::new());
    let mut is_continued = false;
    for line in text.lines() {
        let was_continued = std::mem::replace(&mut is_continued, line.ends_with('\\'));
        if was_continued {
            continue;
        }
        let mut line = line.trim_start();
        if let Some(header) = line.strip_prefix('[') {
            let Some((name, rest)) = header_of(header) else { continue };
            (section, subsection) = name;
            line = rest.trim_start();
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let key = key.trim();
        if !key.is_empty() && is_dangerous(&section, key, value.trim()) {
            let middle = if subsection.is_empty() { "" } else { "." };
            keys.push(format!("{section}{middle}{subsection}.{key}"));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn is_dangerous(section: &str, key: &str, value: &str) -> bool {
    // An alias without `!` is a git command and runs no other program.
    if section == "alias" {
        return value.trim_start_matches('"').starts_with('!');
    }
    let full = format!("{section}.{}", key.to_ascii_lowercase());
    DANGEROUS_SECTIONS.contains(&section) || DANGEROUS.contains(&full.as_str())
}

/// The section and subsection of a header, and what follows it on the line.
fn header_of(header: &str) -> Option<((String, String), &str)> {
    let Some((section, quoted)) = header.split_once('"').filter(|(name, _)| !name.contains(']'))
    else {
        let (name, rest) = header.split_once(']')?;
        let (section, subsection) = name.split_once('.').unwrap_or((name, ""));
        return Some(((lower(section), subsection.to_owned()), rest));
    };
    let mut subsection = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted[at + 1..].trim_start().strip_prefix(']')?;
                return Some(((lower(section), subsection), rest));
            }
            '\\' => subsection.push(characters.next()?.1),
            plain => subsection.push(plain),
        }
    }
    None
}

fn lower(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::dangerous_keys;

    fn check(text: &str, expect: &[&str]) {
        assert_eq!(dangerous_keys(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn keys_that_run_something_are_found() {
        check("[core]\n\tbare = false\n\teditor = vim\n", &["core.editor"]);
        check("[CORE]\nfsMonitor=./x", &["core.fsMonitor"]);
        check("[core] hooksPath = .husky", &["core.hooksPath"]);
        check("[filter \"lfs\"]\nclean = git-lfs clean\n", &["filter.lfs.clean"]);
        check("[filter \"a]\\\"b\"]smudge=x", &["filter.a]\"b.smudge"]);
        check("[diff.x]\ntextconv = y", &["diff.x.textconv"]);
        check("[alias]\nst = status\nrun = !sh\nq = \"!sh\"", &["alias.q", "alias.run"]);
        check("[includeIf \"gitdir:x\"]\npath = y", &["includeif.gitdir:x.path"]);
        check("[user]\nname = a \\\n[core]\npager = x", &[]);
        check("[credential]\nhelper\n", &["credential.helper"]);
        check("", &[]);
    }

    #[test]
    fn broken_text_is_skipped() {
        check("[core\neditor = x", &[]);
        check("[a \"b\n[core]\neditor=x", &["core.editor"]);
        check("\u{0}[[]]=\"\\", &[]);
    }
}
