//! Parts of the kernel that no command in a sandbox needs.
//!
//! What would change the machine is called with arguments that the kernel refuses for their own sake, but only after
//! it has let the caller in: an error other than "not permitted" shows that the call arrived.

use std::os::fd::AsRawFd;

use crate::sys::{address, call, open, text};
use crate::{Attempt, Probe, denied, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("add-key", add_key),
    ("request-key", request_key),
    ("session-keyring", |_| done(call(libc::SYS_keyctl, &[0, -3_isize as usize, 1]))),
    ("new-keyring", |_| done(call(libc::SYS_keyctl, &[1, 0]))),
    ("bpf", bpf),
    ("perf", perf),
    ("io-uring", io_uring),
    ("userfaultfd", |_| made(open(libc::SYS_userfaultfd, &[1 | libc::O_CLOEXEC as usize]))),
    ("kexec", |_| arrived(call(libc::SYS_kexec_load, &[0, usize::MAX, 0, usize::MAX]))),
    ("kexec-file", |_| {
        arrived(call(libc::SYS_kexec_file_load, &[usize::MAX, usize::MAX, 0, 0, usize::MAX]))
    }),
    ("init-module", init_module),
    ("finit-module", |_| {
        arrived(call(libc::SYS_finit_module, &[usize::MAX, c"".as_ptr() as usize, 0]))
    }),
    ("delete-module", delete_module),
    ("clock-settime", clock_settime),
    ("settimeofday", settimeofday),
    ("adjust-clock", adjust_clock),
    ("swapon", |_| nowhere(libc::SYS_swapon)),
    ("swapoff", |_| nowhere(libc::SYS_swapoff)),
    ("acct", |_| nowhere(libc::SYS_acct)),
    ("quotactl", quotactl),
    ("reboot", |_| arrived(call(libc::SYS_reboot, &[0, 0, 0, 0]))),
    ("sethostname", |_| arrived(call(libc::SYS_sethostname, &[address("x"), usize::MAX]))),
    ("setdomainname", |_| arrived(call(libc::SYS_setdomainname, &[address("x"), usize::MAX]))),
    ("kernel-log", |_| done(call(libc::SYS_syslog, &[10, 0, 0]))),
    ("personality", |args| done(call(libc::SYS_personality, &[number(args, 0)]))),
    ("fanotify", |_| made(open(libc::SYS_fanotify_init, &[4, 0]))),
    ("io-ports", |_| io_ports()),
    ("int80", |_| int80()),
    ("x32", |_| x32()),
];

fn done(result: std::io::Result<usize>) -> Attempt {
    Ok(result.map(|value| format!("the kernel says {value}"))?)
}

fn made<T>(result: std::io::Result<T>) -> Attempt {
    Ok(result.map(|_| "made a descriptor".to_owned())?)
}

/// True to its name: the call got past the permission check.
fn arrived(result: std::io::Result<usize>) -> Attempt {
    match result {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) =>
        {
            Err(error.into())
        }
        Err(error) => Ok(format!("the call arrived: {error}")),
        Ok(value) => Ok(format!("the kernel says {value}")),
    }
}

/// A call that takes a path, with one that does not exist.
fn nowhere(number: libc::c_long) -> Attempt {
    arrived(call(number, &[c"/nonexistent/ringfence-test".as_ptr() as usize, 0]))
}

/// A key in the keyring of this process alone.
fn add_key(_: &[String]) -> Attempt {
    const PROCESS_KEYRING: usize = -2_isize as usize;
    let (kind, name) = (c"user", c"ringfence-test");
    let args = [kind.as_ptr() as usize, name.as_ptr() as usize, address("x"), 1, PROCESS_KEYRING];
    done(call(libc::SYS_add_key, &args))
}

/// A key that nobody has: "no such key" means that the kernel has searched.
fn request_key(_: &[String]) -> Attempt {
    let (kind, name) = (c"user", c"ringfence-test-nobody-has-this");
    arrived(call(libc::SYS_request_key, &[kind.as_ptr() as usize, name.as_ptr() as usize, 0, 0]))
}

fn bpf(_: &[String]) -> Attempt {
    // BPF_MAP_CREATE of an array with one element of 4 bytes.
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
    made(open(libc::SYS_bpf, &[0, attributes.as_ptr() as usize, size_of_val(&attributes)]))
}

fn perf(_: &[String]) -> Attempt {
    // PERF_TYPE_SOFTWARE, page faults, of this process, in user mode only.
    let mut attributes = [0_u64; 16];
    attributes[0] = 1 | (128 << 32);
    attributes[1] = 2;
    attributes[5] = 1 << 5 | 1 << 6;
    made(open(
        libc::SYS_perf_event_open,
        &[attributes.as_ptr() as usize, 0, usize::MAX, usize::MAX, 0],
    ))
}

fn io_uring(_: &[String]) -> Attempt {
    let mut parameters = [0_u32; 30];
    made(open(libc::SYS_io_uring_setup, &[1, parameters.as_mut_ptr() as usize]))
}

fn init_module(_: &[String]) -> Attempt {
    let image = [0_u8; 64];
    arrived(call(libc::SYS_init_module, &[address(&image), image.len(), c"".as_ptr() as usize]))
}

fn delete_module(_: &[String]) -> Attempt {
    let name = text("ringfence_test_no_such_module");
    arrived(call(libc::SYS_delete_module, &[name.as_ptr() as usize, libc::O_NONBLOCK as usize]))
}

/// A time that is none: the kernel says so to anybody who gets as far as its code.
fn clock_settime(_: &[String]) -> Attempt {
    let impossible = [0_i64, 2_000_000_000];
    arrived(call(
        libc::SYS_clock_settime,
        &[libc::CLOCK_REALTIME as usize, impossible.as_ptr() as usize],
    ))
}

fn settimeofday(_: &[String]) -> Attempt {
    let impossible = [0_i64, 2_000_000];
    arrived(call(libc::SYS_settimeofday, &[impossible.as_ptr() as usize, 0]))
}

/// Sets the tick to a length that is out of range.
fn adjust_clock(_: &[String]) -> Attempt {
    const ADJ_TICK: u32 = 0x4000;
    let mut request = [0_u64; 26];
    request[0] = u64::from(ADJ_TICK);
    arrived(call(
        libc::SYS_clock_adjtime,
        &[libc::CLOCK_REALTIME as usize, request.as_mut_ptr() as usize],
    ))
}

fn quotactl(_: &[String]) -> Attempt {
    const Q_GETFMT: usize = 0x80_0004;
    let (device, mut format) = (c"/nonexistent/ringfence-test", 0_u32);
    let out = std::ptr::from_mut(&mut format) as usize;
    arrived(call(libc::SYS_quotactl, &[Q_GETFMT << 8, device.as_ptr() as usize, 0, out]))
}

fn io_ports() -> Attempt {
    #[cfg(target_arch = "x86_64")]
    return done(call(libc::SYS_iopl, &[3]));
    #[cfg(not(target_arch = "x86_64"))]
    return crate::not_here("no I/O ports on this machine");
}

/// A system call of the 32 bit table. A kernel without one ends the process by a signal, a filter may as well.
fn int80() -> Attempt {
    #[cfg(target_arch = "x86_64")]
    {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let status = crate::sys::in_child(|| {
            let pid = crate::sys::getpid_by_int80();
            call(libc::SYS_write, &[theirs.as_raw_fd() as usize, address(&pid), size_of_val(&pid)])
                .ok();
            0
        })?;
        drop(theirs);
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut ours, &mut answer)?;
        match <[u8; 8]>::try_from(&answer[..]).map(isize::from_ne_bytes) {
            Ok(pid) if pid > 0 => Ok(format!("process {pid}")),
            Ok(error) => denied(&format!("error {error}")),
            Err(_) if status & 0x7f == libc::SIGSEGV => {
                Err(crate::Refusal::NoSuchCall("no such door".to_owned()))
            }
            Err(_) => denied(&format!("ended by signal {}", status & 0x7f)),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    return crate::not_here("no 32 bit calls by this door on this machine");
}

fn x32() -> Attempt {
    #[cfg(target_arch = "x86_64")]
    {
        let status = crate::sys::in_child(|| match crate::sys::getpid_by_x32() {
            Ok(_) => 0,
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => 2,
            Err(_) => 1,
        })?;
        match status {
            0 => Ok("answered".to_owned()),
            0x200 => Err(crate::Refusal::NoSuchCall("no x32 table".to_owned())),
            status => denied(&format!("wait status {status:#x}")),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    return crate::not_here("no x32 calls on this machine");
}
