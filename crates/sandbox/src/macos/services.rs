//! What of the system a command may ask: Mach services and values of the kernel.
//!
//! Lists, each entry with who needs it. Left out on purpose: the keychain
//! (`com.apple.SecurityServer`, `com.apple.securityd.xpc`), whoever starts programs outside the
//! sandbox (`com.apple.coreservices.launchservicesd`, launchd), preferences (`cfprefsd` writes for
//! its caller), the pasteboard, and tables of processes (`kern.proc*`, which tell the arguments and
//! the environment of others). A program that needs one of these fails, and does not get it.

/// Services of every command.
pub(crate) const MACH: &[&str] = &[
    // getpwuid(3) and its kin: names of users and groups.
    "com.apple.system.opendirectoryd.libinfo",
    "com.apple.system.opendirectoryd.membership",
    // confstr(3): the user's directories for temporary files and caches.
    "com.apple.bsd.dirhelper",
    // syslog(3) and os_log(3).
    "com.apple.system.logger",
    "com.apple.logd",
    // notify(3): the C library learns of a new time zone.
    "com.apple.system.notification_center",
];

/// Services of a command with the caller's network.
pub(crate) const MACH_NETWORK: &[&str] = &[
    // Which network there is, and which name servers.
    "com.apple.SystemConfiguration.configd",
    "com.apple.SystemConfiguration.DNSConfiguration",
    "com.apple.networkd",
    // Whether a certificate is to be trusted.
    "com.apple.trustd.agent",
    "com.apple.ocspd",
];

/// Values of the kernel, by their whole names.
pub(crate) const SYSCTL_NAMES: &[&str] = &[
    "kern.argmax",
    "kern.boottime",
    "kern.clockrate",
    "kern.hostname",
    "kern.iossupportversion",
    "kern.maxfiles",
    "kern.maxfilesperproc",
    "kern.maxproc",
    "kern.ngroups",
    "kern.osproductversion",
    "kern.osrelease",
    "kern.ostype",
    "kern.osvariant_status",
    "kern.osversion",
    "kern.secure_kernel",
    "kern.tcsm_available",
    "kern.usrstack64",
    "kern.version",
    "security.mac.lockdown_mode_state",
    "sysctl.proc_cputype",
    "vm.loadavg",
];

/// Values of the kernel, by the beginnings of their names: what the machine is like.
pub(crate) const SYSCTL_PREFIXES: &[&str] = &["hw.", "machdep.cpu."];
