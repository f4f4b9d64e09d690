//! Running cargo, and where it puts things.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).parent().expect("because xtask is below the root").to_path_buf()
}

/// The same cargo that runs this, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    at_root(program)
}

/// A program in the root of the workspace, such as a cargo of another toolchain.
pub(crate) fn at_root(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    // Settings of the package that is running now are none of the others'.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_"))
    {
        command.env_remove(name);
    }
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// The output of a cargo command that must succeed.
///
/// # Errors
/// What cargo said on its standard error.
pub(crate) fn output(args: &[&str]) -> Result<String, String> {
    let output =
        cargo().args(args).output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The directory of built programs.
///
/// # Errors
/// When cargo does not say.
pub(crate) fn programs(release: bool) -> Result<PathBuf, String> {
    let text = output(&["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo names no target directory")?;
    Ok(PathBuf::from(target).join(if release { "release" } else { "debug" }))
}

/// The machine that is built for, as cargo spells it in names of variables.
///
/// # Errors
/// When rustc does not say.
pub(crate) fn host_in_capitals() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host =
        text.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    Ok(host.replace('-', "_").to_uppercase())
}
