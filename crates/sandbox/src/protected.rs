//! What stays as it is inside a writable tree: files that run code outside the sandbox later.
//!
//! A list of names, nothing of how they are held. It names what a shell, git, an editor or a
//! coding agent executes by itself when its user goes on working: start-up files, hooks,
//! settings with commands in them, and what would loosen the next run of ringfence. It is
//! deliberately no list of everything that can hold code: build scripts, `Makefile` and
//! `package.json` are what a command is there to change, and so are texts that only instruct
//! (`AGENTS.md`, `CLAUDE.md`).
//!
//! Parts of a repository are listed by what they are, because where they lie is told by other
//! files (see `git`).

use std::path::{Path, PathBuf};

/// Directories, and the names in each: a directory that is not there is looked for once.
pub(crate) type Names = &'static [(&'static str, &'static [&'static str])];

/// In the top of every writable tree, in the workspace and in home directories: shells,
/// sessions, git, debuggers, editors, and this program.
pub(crate) const ANYWHERE: Names = &[
    (
        "",
        &[
            ".bashrc",
            ".bash_profile",
            ".bash_login",
            ".bash_logout",
            ".bash_aliases",
            ".profile",
            ".zshrc",
            ".zshenv",
            ".zprofile",
            ".zlogin",
            ".zlogout",
            ".kshrc",
            ".mkshrc",
            ".cshrc",
            ".tcshrc",
            ".login",
            ".logout",
            ".inputrc",
            ".xprofile",
            ".xinitrc",
            ".xsession",
            ".xsessionrc",
            ".pam_environment",
            ".envrc",
            ".direnvrc",
            ".gitconfig",
            ".gitmodules",
            ".ripgreprc",
            ".exrc",
            ".vimrc",
            ".gvimrc",
            ".nvimrc",
            ".nvim.lua",
            ".gdbinit",
            ".gdbearlyinit",
            ".lldbinit",
            ".pdbrc",
            ".Rprofile",
            ".tmux.conf",
            ".screenrc",
            ".vscode",
            "ringfence.toml",
        ],
    ),
    (".config", &["fish", "git"]),
];

/// In the top of writable trees and in the workspace, but not in home directories, where the same
/// names also hold what these programs themselves write: editors and agents.
pub(crate) const IN_PROJECT: Names = &[(
    "",
    &[
        ".idea",
        ".zed",
        ".cursor",
        ".windsurf",
        ".devcontainer",
        ".devcontainer.json",
        ".fleet",
        ".mcp.json",
        ".claude",
        ".codex",
        ".gemini",
        ".opencode",
        "opencode.json",
        "opencode.jsonc",
        ".crush.json",
        ".aider.conf.yml",
        ".continue",
        ".agents",
        ".amazonq",
        ".qwen",
        ".kiro",
        ".roo",
        ".junie",
        ".husky",
    ],
)];

/// In home directories: sessions, services, editors, agents, and this program's own files.
pub(crate) const IN_HOME: Names = &[
    (
        "",
        &[
            ".ssh",
            ".vim",
            ".emacs",
            ".emacs.d",
            ".irbrc",
            ".pryrc",
            ".psqlrc",
            ".sqliterc",
            ".mcp.json",
            ".aider.conf.yml",
        ],
    ),
    (
        ".config",
        &[
            "autostart",
            "systemd",
            "environment.d",
            "plasma-workspace",
            "nvim",
            "emacs",
            "tmux",
            "direnv",
            "mise",
            "zed",
            "opencode",
            "ringfence",
        ],
    ),
    (".local/share", &["systemd", "applications"]),
    (".local/state", &["ringfence"]),
    (".cargo", &["config", "config.toml", "env"]),
    (
        ".claude",
        &[
            "settings.json",
            "settings.local.json",
            "hooks",
            "agents",
            "commands",
            "skills",
            "plugins",
        ],
    ),
    (".codex", &["config.toml", "hooks.json", "rules", "skills"]),
    (".gemini", &["settings.json", "commands", "extensions"]),
    (".cursor", &["mcp.json", "hooks.json", "cli-config.json"]),
];

/// In directories above the workspace: this program and others look upwards for these.
pub(crate) const ABOVE: &[&str] = &["ringfence.toml", ".envrc"];

/// In the directory of a repository. A `commondir` would make git take hooks and configuration
/// from elsewhere.
pub(crate) const IN_REPOSITORY: &[&str] = &["hooks", "config", "config.worktree", "commondir"];

/// In the directory a repository keeps for each linked worktree.
pub(crate) const IN_WORKTREE: &[&str] = &["config.worktree", "commondir", "gitdir"];

/// Names of what the built-in list protects, for whoever carries changes out later: below the
/// workspace, `**/` standing for any directory.
#[must_use]
pub fn protected_names() -> Vec<PathBuf> {
    let names = [ANYWHERE, IN_PROJECT].into_iter().flatten().flat_map(|(directory, names)| {
        names.iter().map(move |name| Path::new(directory).join(name))
    });
    let git = IN_REPOSITORY.iter().map(|name| Path::new("**/.git").join(name));
    names.chain(git).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_listed_twice() {
        let all = ANYWHERE.iter().chain(IN_PROJECT).chain(IN_HOME);
        for lists in [[ANYWHERE, IN_PROJECT], [ANYWHERE, IN_HOME]] {
            let mut seen = BTreeSet::new();
            for (directory, names) in lists.into_iter().flatten() {
                for name in *names {
                    assert!(seen.insert((directory, name)), "{directory}/{name} twice");
                }
            }
        }
        assert!(all.flat_map(|(_, names)| *names).all(|name| !name.contains('/')));
    }
}
