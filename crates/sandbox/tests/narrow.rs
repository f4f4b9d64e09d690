//! The narrow view: only system directories, the workspace and what is listed exist.
#![cfg(target_os = "linux")]

mod support;

use ringfence_sandbox::{FileView, ReadScope, SandboxSpec};
use std::{fs, path::Path};
use support::{refused, spec, works};
use tempfile::TempDir;

/// A directory that the narrow view does not have: outside the system and `/tmp`.
fn place() -> TempDir {
    let home = std::env::var_os("HOME").filter(|home| home != "/tmp");
    let home = home.map_or_else(|| "/var/lib".into(), std::path::PathBuf::from);
    tempfile::tempdir_in(home)
        .or_else(|_| tempfile::tempdir_in("/var/tmp"))
        .expect("it can be made")
}

fn narrow(ws: &Path, view: FileView) -> SandboxSpec {
    spec(ws, FileView { scope: ReadScope::Minimal, ..view })
}

#[test]
fn nothing_but_the_system_and_what_is_listed_exists() {
    let dir = place();
    let path = |name: &str| dir.path().join(name);
    for name in ["ws", "listed", "other"] {
        fs::create_dir(path(name)).expect("it can be made");
        fs::write(path(name).join("file"), "x").expect("it can be written");
    }
    let view = FileView {
        writable: vec![path("ws")],
        readable: vec![path("listed")],
        ..FileView::default()
    };
    let narrow = narrow(&path("ws"), view);
    works(&narrow, "cat file ../listed/file && echo y > file");
    works(&narrow, "test \"$(ls ..)\" = \"$(printf 'listed\\nws')\"");
    works(&narrow, "for dir in /srv /mnt /media /boot; do test -z \"$(ls -A $dir)\"; done");
    refused(&narrow, "cat ../other/file");
    refused(&narrow, "ls /var/log/* /var/lib/dpkg /home/*/.bashrc 2>/dev/null | grep .");
    refused(&narrow, "echo x > ../listed/file");
    works(&narrow, "! touch /srv/x 2>/dev/null && ! touch /home/x 2>/dev/null");
    works(&spec(&path("ws"), FileView::default()), "cat ../other/file");
}

#[test]
fn a_workspace_that_is_only_read_is_there() {
    let dir = place();
    fs::write(dir.path().join("file"), "x").expect("it can be written");
    let spec = narrow(dir.path(), FileView::default());
    works(&spec, "cat file");
    refused(&spec, "echo x > file");
}

#[test]
fn credential_stores_of_the_system_stay_hidden() {
    let dir = place();
    let spec = narrow(dir.path(), FileView::default());
    works(&spec, "cat /etc/passwd > /dev/null && ! cat /etc/shadow 2>/dev/null");
}

#[test]
fn everyday_programs_run() {
    let dir = place();
    let view = FileView { writable: vec![dir.path().to_owned()], ..FileView::default() };
    let spec = narrow(dir.path(), view);
    let runs = |program: &str, script: &str| {
        if Path::new(program).exists() {
            works(&spec, script);
        }
    };
    runs("/bin/bash", "bash -c 'echo ok && shopt -s extglob && for i in {1..3}; do :; done'");
    runs("/usr/bin/python3", "/usr/bin/python3 -c 'import ssl, json, ctypes; print(1)'");
    runs(
        "/usr/bin/git",
        "git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -qm a --allow-empty",
    );
    runs("/usr/bin/gcc", "echo 'int main(){return 0;}' > a.c && gcc -o a a.c && ./a");
    runs("/usr/bin/node", "node -e 'console.log(require(\"os\").cpus().length)'");
    runs("/usr/bin/java", "java -version");
    works(
        &spec,
        "sort -u /etc/passwd | awk -F: '{print $1}' | head -1 && date && id && df . > /dev/null",
    );
}
