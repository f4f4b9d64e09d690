//! Whether a gateway can serve a network namespace here, by doing it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringfence_network::{Gate, Gateway, Reach, Settings};
use ringfence_sandbox::{
    Check, Confinement, Files, Process, Program, Report, Sandbox, SandboxSpec, Stdio, Trace,
    UnixSockets,
};

use crate::outlet::{self, Inside};

/// Makes a network of its own for a program that does nothing, and serves it. Takes a few milliseconds.
#[must_use]
pub fn check_gateway() -> Check {
    let (works, detail) = match attempt() {
        Ok(Served::Whole) => (true, "works, and tells what it refuses".to_owned()),
        Ok(Served::Lacking(what)) => (false, format!("an allowlist is served, but {what}")),
        Err(why) => (false, why),
    };
    let remedy = (!works).then(|| {
        "a kernel with nf_tables, NFLOG and network namespaces (`modprobe -a nf_tables nft_redir \
         nft_reject_inet nft_log nfnetlink_log`)"
            .to_owned()
    });
    Check { name: "network_gateway", works, required: false, detail, remedy }
}

enum Served {
    Whole,
    Lacking(String),
}

fn attempt() -> Result<Served, String> {
    let sandbox = Sandbox::prepare_by_trying(&spec()).map_err(|error| with_causes(&error))?;
    if sandbox.wants_proxy() {
        let what = "by a proxy on the loopback: there is no network namespace";
        return Ok(Served::Lacking(what.to_owned()));
    }
    let gate = Gate::parse(["name.example:443"]).map_err(|error| with_causes(&error))?;
    let (gateway, _events) =
        Gateway::start(Settings::new(gate)).map_err(|error| error.to_string())?;
    let stdio = nothing().map_err(|error| format!("/dev/null: {error}"))?;
    let tree = sandbox.start(&process(), &stdio).map_err(|error| with_causes(&error))?;
    match tree.wait_report() {
        Ok(Some(Report::Sockets)) => {}
        Ok(Some(Report::Failed(failure))) => return Err(failure.to_string()),
        other => return Err(format!("the launcher hands out no sockets ({other:?})")),
    }
    let sockets = tree.take_sockets().ok_or("the launcher hands out no sockets")?;
    let inside = Inside { service: sockets, process: tree.pid() };
    let entered = gateway.enter(Arc::new(inside)).map_err(|error| with_causes(&error))?;
    Ok(match (entered.reach, entered.caveats.join("; ")) {
        (Reach::Rules { told: true }, caveats) if caveats.is_empty() => Served::Whole,
        (_, caveats) => Served::Lacking(caveats),
    })
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: Files::Inherit,
        network: outlet::network(),
        unix_sockets: UnixSockets::Private,
        trace: Trace::Changes,
        workspace: "/".into(),
    }
}

fn process() -> Process {
    Process {
        program: Program::Path(PathBuf::from("/bin/true")),
        args: vec!["true".into()],
        env: Vec::new(),
        cwd: "/".into(),
        rlimits: Vec::new(),
        linger: Duration::ZERO,
        temp: None,
        proxy: None,
        terminal: None,
    }
}

fn nothing() -> io::Result<Stdio> {
    let open = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Stdio { stdin: open()?, stdout: open()?, stderr: open()? })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_has_a_remedy() {
        let check = check_gateway();
        assert_eq!(check.works, check.remedy.is_none(), "{check:?}");
    }
}
