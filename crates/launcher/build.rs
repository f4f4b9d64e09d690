//! Compiles the freestanding init with the compiler that compiles this crate,
//! for the same target, and tells the crate whether there is one to embed.

use std::{env, path::Path, process::Command};

/// Machines the freestanding program has an entry point and system calls for.
const MACHINES: [&str; 2] = ["x86_64", "aarch64"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(ringfence_freestanding)");
    println!("cargo::rustc-check-cfg=cfg(ringfence_embedded)");
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-changed=src/init");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let machine = variable("CARGO_CFG_TARGET_ARCH");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || !MACHINES.contains(&machine.as_str()) {
        return;
    }
    compile(&variable("TARGET"), &variable("OUT_DIR"));
    println!("cargo::rustc-cfg=ringfence_embedded");
}

fn compile(target: &str, out: &str) {
    let output = Path::new(out).join("ringfence-init");
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    rustc.args(["--edition", "2024", "--crate-name", "ringfence_init", "--crate-type", "bin"]);
    rustc.args(["--target", target, "--cfg", "ringfence_freestanding"]);
    rustc.args(["-C", "opt-level=2", "-C", "lto=fat", "-C", "codegen-units=1"]);
    rustc.args(["-C", "panic=abort", "-C", "strip=symbols", "-C", "relocation-model=static"]);
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"] {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    // Small pages of a small program: fewer faults at its start.
    rustc.args(["-C", "link-arg=-Wl,-z,noseparate-code", "-C", "link-arg=-Wl,-z,norelro"]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = std::ffi::OsString::from("linker=");
        argument.push(linker);
        rustc.arg("-C").arg(argument);
    }
    rustc.arg("-o").arg(&output).arg("src/init/main.rs");
    // A wrapper or flags meant for crates of cargo are none of this program's business.
    rustc.env_remove("RUSTFLAGS");
    let status = rustc.status().expect("rustc can be started");
    assert!(status.success(), "the freestanding init does not compile: {rustc:?}");
}
