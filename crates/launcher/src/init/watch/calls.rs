//! Numbers of the calls that are handed on: what each is about, or its name.

/// How a call finds the file it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Opens it, with flags.
    Open(u64),
    /// Makes something new.
    Make,
    /// Takes a name away.
    Unlink,
    /// Gives a name to something else.
    Replace,
    /// Changes what is there: mode, owner, times, attributes, length.
    Alter {
        /// The file at the end of a symbolic link.
        follow: bool,
    },
}

/// Where a call has a path: argument with the directory (none: the working directory),
/// argument with the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) directory: Option<usize>,
    pub(crate) path: usize,
}

/// What a call does to one path.
pub(crate) type Subject = (Place, Change);

const fn at(directory: usize, path: usize) -> Place {
    Place { directory: Some(directory), path }
}

/// Numbers that only x86-64 has: the calls without `at`.
#[cfg(target_arch = "x86_64")]
mod old {
    pub(super) const OPEN: i32 = 2;
    pub(super) const TRUNCATE: i32 = 76;
    pub(super) const RENAME: i32 = 82;
    pub(super) const MKDIR: i32 = 83;
    pub(super) const RMDIR: i32 = 84;
    pub(super) const CREAT: i32 = 85;
    pub(super) const LINK: i32 = 86;
    pub(super) const UNLINK: i32 = 87;
    pub(super) const SYMLINK: i32 = 88;
    pub(super) const CHMOD: i32 = 90;
    pub(super) const CHOWN: i32 = 92;
    pub(super) const LCHOWN: i32 = 94;
    pub(super) const UTIME: i32 = 132;
    pub(super) const MKNOD: i32 = 133;
    pub(super) const UTIMES: i32 = 235;
    pub(super) const FUTIMESAT: i32 = 261;
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const SOCKET: i32 = 41;
    pub(crate) const CONNECT: i32 = 42;
    pub(crate) const LISTEN: i32 = 50;
    pub(crate) const SOCKETPAIR: i32 = 53;
    pub(super) const CLONE: i32 = 56;
    pub(super) const PIVOT_ROOT: i32 = 155;
    pub(super) const CHROOT: i32 = 161;
    pub(super) const SETTIMEOFDAY: i32 = 164;
    pub(super) const MOUNT: i32 = 165;
    pub(super) const UMOUNT2: i32 = 166;
    pub(super) const SWAPON: i32 = 167;
    pub(super) const SWAPOFF: i32 = 168;
    pub(super) const REBOOT: i32 = 169;
    pub(super) const SETHOSTNAME: i32 = 170;
    pub(super) const SETDOMAINNAME: i32 = 171;
    pub(super) const INIT_MODULE: i32 = 175;
    pub(super) const DELETE_MODULE: i32 = 176;
    pub(super) const SETXATTR: i32 = 188;
    pub(super) const LSETXATTR: i32 = 189;
    pub(super) const REMOVEXATTR: i32 = 197;
    pub(super) const LREMOVEXATTR: i32 = 198;
    pub(super) const CLOCK_SETTIME: i32 = 227;
    pub(super) const KEXEC_LOAD: i32 = 246;
    pub(super) const ADD_KEY: i32 = 248;
    pub(super) const REQUEST_KEY: i32 = 249;
    pub(super) const KEYCTL: i32 = 250;
    pub(super) const OPENAT: i32 = 257;
    pub(super) const MKDIRAT: i32 = 258;
    pub(super) const MKNODAT: i32 = 259;
    pub(super) const FCHOWNAT: i32 = 260;
    pub(super) const UNLINKAT: i32 = 263;
    pub(super) const RENAMEAT: i32 = 264;
    pub(super) const LINKAT: i32 = 265;
    pub(super) const SYMLINKAT: i32 = 266;
    pub(super) const FCHMODAT: i32 = 268;
    pub(super) const UNSHARE: i32 = 272;
    pub(super) const UTIMENSAT: i32 = 280;
    pub(super) const SETNS: i32 = 308;
    pub(super) const FINIT_MODULE: i32 = 313;
    pub(super) const RENAMEAT2: i32 = 316;
    pub(super) const KEXEC_FILE_LOAD: i32 = 320;
    pub(super) const BPF: i32 = 321;
    pub(super) const TRUNCATE: i32 = super::old::TRUNCATE;
}

/// The table that aarch64 and every later machine has.
#[cfg(not(target_arch = "x86_64"))]
mod number {
    pub(super) const SETXATTR: i32 = 5;
    pub(super) const LSETXATTR: i32 = 6;
    pub(super) const REMOVEXATTR: i32 = 14;
    pub(super) const LREMOVEXATTR: i32 = 15;
    pub(super) const MKNODAT: i32 = 33;
    pub(super) const MKDIRAT: i32 = 34;
    pub(super) const UNLINKAT: i32 = 35;
    pub(super) const SYMLINKAT: i32 = 36;
    pub(super) const LINKAT: i32 = 37;
    pub(super) const RENAMEAT: i32 = 38;
    pub(super) const UMOUNT2: i32 = 39;
    pub(super) const MOUNT: i32 = 40;
    pub(super) const PIVOT_ROOT: i32 = 41;
    pub(super) const TRUNCATE: i32 = 45;
    pub(super) const CHROOT: i32 = 51;
    pub(super) const FCHMODAT: i32 = 53;
    pub(super) const FCHOWNAT: i32 = 54;
    pub(super) const OPENAT: i32 = 56;
    pub(super) const UTIMENSAT: i32 = 88;
    pub(super) const UNSHARE: i32 = 97;
    pub(super) const KEXEC_LOAD: i32 = 104;
    pub(super) const INIT_MODULE: i32 = 105;
    pub(super) const DELETE_MODULE: i32 = 106;
    pub(super) const CLOCK_SETTIME: i32 = 112;
    pub(super) const REBOOT: i32 = 142;
    pub(super) const SETHOSTNAME: i32 = 161;
    pub(super) const SETDOMAINNAME: i32 = 162;
    pub(super) const SETTIMEOFDAY: i32 = 170;
    pub(crate) const SOCKET: i32 = 198;
    pub(crate) const SOCKETPAIR: i32 = 199;
    pub(crate) const LISTEN: i32 = 201;
    pub(crate) const CONNECT: i32 = 203;
    pub(super) const ADD_KEY: i32 = 217;
    pub(super) const REQUEST_KEY: i32 = 218;
    pub(super) const KEYCTL: i32 = 219;
    pub(super) const CLONE: i32 = 220;
    pub(super) const SWAPON: i32 = 224;
    pub(super) const SWAPOFF: i32 = 225;
    pub(super) const SETNS: i32 = 268;
    pub(super) const FINIT_MODULE: i32 = 273;
    pub(super) const RENAMEAT2: i32 = 276;
    pub(super) const BPF: i32 = 280;
    pub(super) const KEXEC_FILE_LOAD: i32 = 294;
}

pub(crate) use number::{CONNECT, LISTEN, SOCKET, SOCKETPAIR};
/// Its flags lie in memory.
pub(crate) const OPENAT2: i32 = 437;
const FCHMODAT2: i32 = 452;
const SETXATTRAT: i32 = 463;
const REMOVEXATTRAT: i32 = 466;

/// What a call changes, by its number and arguments; none for a call that changes nothing.
pub(crate) fn subjects(call: i32, args: &[u64; 6]) -> Option<[Option<Subject>; 2]> {
    use Change::{Alter, Make, Open, Replace, Unlink};
    use number as n;
    const LINKED: u64 = 0x100;
    let alter_at = |flags: usize| Alter { follow: args[flags] & LINKED == 0 };
    let followed = Alter { follow: true };
    let itself = Alter { follow: false };
    Some(match call {
        n::OPENAT => one(at(0, 1), Open(args[2])),
        n::MKDIRAT | n::MKNODAT => one(at(0, 1), Make),
        n::UNLINKAT => one(at(0, 1), Unlink),
        n::RENAMEAT | n::RENAMEAT2 => both((at(0, 1), Unlink), (at(2, 3), Replace)),
        n::LINKAT => one(at(2, 3), Make),
        n::SYMLINKAT => one(at(1, 2), Make),
        n::FCHMODAT => one(at(0, 1), followed),
        FCHMODAT2 => one(at(0, 1), alter_at(3)),
        n::FCHOWNAT => one(at(0, 1), alter_at(4)),
        n::UTIMENSAT => one(at(0, 1), alter_at(3)),
        SETXATTRAT | REMOVEXATTRAT => one(at(0, 1), alter_at(2)),
        n::TRUNCATE | n::SETXATTR | n::REMOVEXATTR => one(HERE, followed),
        n::LSETXATTR | n::LREMOVEXATTR => one(HERE, itself),
        _ => return old_subjects(call, args),
    })
}

const HERE: Place = Place { directory: None, path: 0 };

fn one(place: Place, change: Change) -> [Option<Subject>; 2] {
    [Some((place, change)), None]
}

fn both(first: Subject, second: Subject) -> [Option<Subject>; 2] {
    [Some(first), Some(second)]
}

#[cfg(target_arch = "x86_64")]
fn old_subjects(call: i32, args: &[u64; 6]) -> Option<[Option<Subject>; 2]> {
    use Change::{Alter, Make, Open, Replace, Unlink};
    const CREATE_TRUNCATE: u64 = 0o1 | 0o100 | 0o1000;
    const SECOND: Place = Place { directory: None, path: 1 };
    Some(match call {
        old::OPEN => one(HERE, Open(args[1])),
        old::CREAT => one(HERE, Open(CREATE_TRUNCATE)),
        old::MKDIR | old::MKNOD => one(HERE, Make),
        old::RMDIR | old::UNLINK => one(HERE, Unlink),
        old::RENAME => both((HERE, Unlink), (SECOND, Replace)),
        old::LINK | old::SYMLINK => one(SECOND, Make),
        old::CHMOD | old::CHOWN | old::UTIME | old::UTIMES => one(HERE, Alter { follow: true }),
        old::LCHOWN => one(HERE, Alter { follow: false }),
        old::FUTIMESAT => one(at(0, 1), Alter { follow: true }),
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn old_subjects(_: i32, _: &[u64; 6]) -> Option<[Option<Subject>; 2]> {
    None
}

/// The name of a call that is refused as such, as it is told.
pub(crate) fn name(call: i32) -> &'static str {
    use number as n;
    match call {
        n::CLONE => "clone",
        n::UNSHARE => "unshare",
        n::SETNS => "setns",
        n::MOUNT => "mount",
        n::UMOUNT2 => "umount",
        n::PIVOT_ROOT => "pivot_root",
        n::CHROOT => "chroot",
        428 => "open_tree",
        429 => "move_mount",
        430 => "fsopen",
        431 => "fsconfig",
        432 => "fsmount",
        433 => "fspick",
        442 => "mount_setattr",
        467 => "open_tree_attr",
        n::BPF => "bpf",
        n::ADD_KEY => "add_key",
        n::REQUEST_KEY => "request_key",
        n::KEYCTL => "keyctl",
        n::INIT_MODULE => "init_module",
        n::FINIT_MODULE => "finit_module",
        n::DELETE_MODULE => "delete_module",
        n::KEXEC_LOAD => "kexec_load",
        n::KEXEC_FILE_LOAD => "kexec_file_load",
        n::REBOOT => "reboot",
        n::SETTIMEOFDAY => "settimeofday",
        n::CLOCK_SETTIME => "clock_settime",
        n::SWAPON => "swapon",
        n::SWAPOFF => "swapoff",
        n::SETHOSTNAME => "sethostname",
        n::SETDOMAINNAME => "setdomainname",
        _ => "another",
    }
}
